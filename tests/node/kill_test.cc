// The whole update of a node of files, killed in each of its phases.
#include <signal.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <map>
#include <random>

#include "tests/images/small_release.h"
#include "tests/node/file_node.h"
#include "tests/source/http_server.h"
#include "tests/vm/process.h"

namespace hostos {
namespace {

// libostree has at most this many requests under way, and as many writes waiting.
constexpr int kInFlight = 16;

void AddFiles(const std::string& directory, int count, unsigned seed) {
  std::minstd_rand random(seed);
  for (int file = 0; file < count; file++) {
    std::string bytes(20'000, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() >> 16);
    WriteText(std::format("{}/{}", directory, file), bytes);
  }
}

// Made once: 1.0.0, and 1.1.0 with 200 more files.
const Releases& TwoReleases() {
  static const SmallRelease small;
  static const Releases releases = [] {
    const std::string parent = small / "parent";
    const Release from = small.Commit().value();
    Run(std::format("ostree init --repo={0} --mode=bare && ostree pull-local --repo={0} {1} {2}",
                    parent, small / "repo", from.commit.Hex()));
    AddFiles(small / "root/usr/share/new", 200, 1);
    WriteText(small / "root/usr/lib/os-release",
              "ID=hostos\nIMAGE_ID=hostos\nIMAGE_VERSION=\"1.1.0\"\n");
    CommitOptions options = small.Options();
    options.version = "1.1.0";
    options.timestamp++;
    const Release to = small.Commit(options).value();
    return Releases{small / "repo", small / "keys", parent, from.commit, to.commit, {16, 1}};
  }();
  return releases;
}

// How often each object of the tree was sent.
std::map<std::string, int> ObjectsSent(const HttpServer& server) {
  std::map<std::string, int> sent;
  for (const HttpRequest& request : server.Requests())
    if (request.status == 200 && request.path.starts_with("/objects/") &&
        !request.path.contains(".commit"))
      sent[request.path]++;
  return sent;
}

TEST_CASE(
    "an update killed in any of its phases goes on in the next run, and fetches nothing twice") {
  const auto [phase, count] =
      GENERATE(std::pair{"resolve", 1}, std::pair{"resolve", 2}, std::pair{"fetch", 1},
               std::pair{"fetch", 3}, std::pair{"write", 1}, std::pair{"write", 2},
               std::pair{"prove", 1}, std::pair{"prove", 2}, std::pair{"arm", 1});
  CAPTURE(phase, count);
  const Releases& releases = TwoReleases();
  FileNode node(releases);
  const HttpServer server(releases.repo, "limit_rate 400k;");
  const std::string log = node / "log";
  std::vector<std::string> update = node.UpdateFrom(server.url());

  update.insert(update.end(), {phase, std::to_string(count)});
  const int ended = Process::Start(update, log).value().Wait();
  INFO(LastLines(log, 10));
  REQUIRE(ended == 128 + SIGKILL);
  const std::map<std::string, int> before = ObjectsSent(server);
  CHECK(node.machine().boot().Read().value().next() == Slot::A);

  update.resize(update.size() - 2);
  const Result<> again = Process::Run(update, log);
  INFO((again ? "" : again.error().message));
  REQUIRE(again);
  CHECK(node.machine().Boot() == Slot::B);
  int twice = 0;
  for (const auto& [object, times] : ObjectsSent(server)) twice += times > 1;
  CHECK(twice <= (phase == std::string("fetch") && count > 1 ? kInFlight : 0));
  CHECK(ObjectsSent(server).size() > 200);
  if (phase == std::string("fetch") && count > 1) CHECK(before.size() < 200);
}

}  // namespace
}  // namespace hostos

// The whole update of a node of files, killed in each of its phases.
#include <signal.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <map>

#include "tests/node/release_line.h"
#include "tests/source/http_server.h"
#include "tests/vm/process.h"

namespace hostos {
namespace {

// libostree has at most this many requests under way, and as many writes waiting.
constexpr int kInFlight = 16;

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
  const auto [phase, percent] = GENERATE(
      std::pair{"resolve", 0}, std::pair{"fetch", 0}, std::pair{"fetch", 30}, std::pair{"write", 0},
      std::pair{"write", 50}, std::pair{"prove", 0}, std::pair{"prove", 50}, std::pair{"arm", 0});
  CAPTURE(phase, percent);
  static const Releases releases = [] {
    static ReleaseLine line;
    line.Publish("1.1.0", 200);
    return line.releases();
  }();
  const HttpServer server(releases.repo, "limit_rate 400k;");
  const FileNode node(releases, server.url());
  const std::string log = node / "log";
  std::vector<std::string> update = node.Update();

  update.insert(update.end(), {phase, std::to_string(percent)});
  const int ended = Process::Start(update, log).value().Wait();
  INFO(LastLines(log, 10));
  REQUIRE(ended == 128 + SIGKILL);
  CHECK(node.machine().boot().Read().value().next() == Slot::A);

  update.resize(update.size() - 2);
  const Result<> again = Process::Run(update, log);
  INFO((again ? "" : again.error().message));
  REQUIRE(again);
  CHECK(node.Boot() == Slot::B);
  int twice = 0;
  for (const auto& [object, times] : ObjectsSent(server)) twice += times > 1;
  CHECK(twice <= (phase == std::string("fetch") && percent > 0 ? kInFlight : 0));
  CHECK(ObjectsSent(server).size() > 200);
}

}  // namespace
}  // namespace hostos

// The whole update of a node of files, killed or suspended in each of its phases.
#include <signal.h>
#include <sys/wait.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <map>
#include <thread>

#include "tests/node/release_line.h"
#include "tests/source/http_server.h"
#include "tests/vm/process.h"

namespace hostos {
namespace {

// libostree has at most this many requests in flight, and as many writes waiting.
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

const Releases& TwoReleases() {
  static ReleaseLine line;
  static const bool published = (line.Publish("1.1.0", 200), true);
  REQUIRE(published);
  return line.releases();
}

TEST_CASE(
    "an update killed in any of its phases goes on in the next run, and fetches nothing twice") {
  const auto [phase, percent] = GENERATE(
      std::pair{"resolve", 0}, std::pair{"fetch", 0}, std::pair{"fetch", 30}, std::pair{"write", 0},
      std::pair{"write", 50}, std::pair{"prove", 0}, std::pair{"prove", 50}, std::pair{"arm", 0});
  CAPTURE(phase, percent);
  const HttpServer server(TwoReleases().repo, "limit_rate 400k;");
  const FileNode node(TwoReleases(), server.url());
  const std::string log = node / "log";
  std::vector<std::string> update = node.Update();

  update.insert(update.end(), {phase, std::to_string(percent), std::to_string(SIGKILL)});
  const int ended = Process::Start(update, log).value().Wait();
  INFO(LastLines(log, 10));
  REQUIRE(ended == 128 + SIGKILL);
  CHECK(node.machine().boot().Read().value().next() == Slot::A);

  update.resize(update.size() - 3);
  const Result<> again = Process::Run(update, log);
  INFO((again ? "" : again.error().message));
  REQUIRE(again);
  CHECK(node.Boot() == Slot::B);
  int twice = 0;
  for (const auto& [object, times] : ObjectsSent(server)) twice += times > 1;
  CHECK(twice <= (phase == std::string("fetch") && percent > 0 ? kInFlight : 0));
  CHECK(ObjectsSent(server).size() > 200);
}

TEST_CASE("an update suspended in any of its phases goes on when the machine wakes up") {
  const auto [phase, percent] = GENERATE(std::pair{"resolve", 0}, std::pair{"fetch", 30},
                                         std::pair{"write", 50}, std::pair{"arm", 0});
  CAPTURE(phase, percent);
  // The server's timeouts are shorter than the machine's sleep.
  const HttpServer server(TwoReleases().repo,
                          "limit_rate 400k; send_timeout 1s; keepalive_timeout 1s;");
  const FileNode node(TwoReleases(), server.url());
  const std::string log = node / "log";
  std::vector<std::string> update = node.Update();
  update.insert(update.end(), {phase, std::to_string(percent), std::to_string(SIGSTOP)});
  Process process = Process::Start(update, log).value();
  int status = 0;
  REQUIRE(::waitpid(process.pid(), &status, WUNTRACED) == process.pid());
  REQUIRE(WIFSTOPPED(status));
  std::this_thread::sleep_for(std::chrono::seconds(3));
  REQUIRE(::kill(-process.pid(), SIGCONT) == 0);
  const int ended = process.Wait();
  INFO(LastLines(log, 10));
  REQUIRE(ended == 0);
  CHECK(node.Boot() == Slot::B);
}

}  // namespace
}  // namespace hostos

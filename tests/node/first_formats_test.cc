// Nodes that run a program of before delta packs, seal format 2 and boot images made of other
// objects: they update to releases of today, and understand what those leave behind.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include "tests/held.h"
#include "tests/node/ask.h"
#include "tests/node/release_line.h"
#include "tests/source/http_server.h"
#include "tests/vm/process.h"

namespace hostos {
namespace {

using nlohmann::json;

class FirstPrograms {
 public:
  FirstPrograms() {
    Held(Process::Run(
        {HOSTOS_SOURCE_DIR "/tests/node/first_programs", HOSTOS_SOURCE_DIR, directory_.path()},
        directory_ / "log"));
  }
  // Runs the hostctl of then; its output is in `log`.
  ExitCode Run(const FileNode& node, const std::string& log,
               const std::vector<std::string>& words) const {
    std::vector<std::string> argv = node.Hostctl(words);
    argv[0] = directory_ / "build/tests/node/hostctl_on_files";
    return static_cast<ExitCode>(Held(Process::Start(argv, log)).Wait());
  }

 private:
  const TempDir directory_;
};

const FirstPrograms& First() {
  static const FirstPrograms first;
  return first;
}

size_t PacksSent(const HttpServer& server) {
  return static_cast<size_t>(std::ranges::count_if(
      server.Requests(),
      [](const HttpRequest& request) { return request.path.contains("/packs/"); }));
}

// The repository of the running root, as a node that boots this release has it.
void RunFrom(const FileNode& node, const ReleaseLine& line, const Digest& commit) {
  const std::string parent = node / "parent";
  Run(std::format("ostree init --repo={0} --mode=bare && ostree pull-local --repo={0} {1} {2}",
                  parent, line.releases().repo, commit.Hex()));
  json origin = json::parse(ReadText(node / "origin.json"));
  origin["parent"] = parent;
  WriteText(node / "origin.json", origin.dump());
}

TEST_CASE("a node of the first formats updates itself to today's, and falls back to its own") {
  const FirstPrograms& first = First();
  ReleaseLine line;
  const HttpServer server(line.releases().repo);
  const FileNode node(line.releases(), server.url());
  const std::string log = node / "log";

  // A pack is of no use to the old program, and does no harm.
  const Release next = line.Publish("1.1.0", 20, {.laid_out = false, .pack_from = "1.0.0"});
  const ExitCode updated = first.Run(node, log, {"update"});
  INFO(LastLines(log, 20));
  REQUIRE(updated == ExitCode::kStaged);
  CHECK(PacksSent(server) == 0);
  REQUIRE(Held(node.Boot()) == Slot::B);

  SECTION("the new release fails, and the old program tells why") {
    WriteText(node / "unhealthy", "the canary is dead");
    REQUIRE(Ask(node, {"gate"}).code != ExitCode::kDone);
    REQUIRE(Held(node.Boot()) == Slot::A);
    std::filesystem::remove(node / "unhealthy");
    REQUIRE(first.Run(node, log, {"gate"}) == ExitCode::kDone);
    REQUIRE(first.Run(node, log, {"history", "--json"}) == ExitCode::kDone);
    CHECK(ReadText(log).contains("the canary is dead"));
    CHECK(first.Run(node, log, {"update"}) == ExitCode::kRefused);
  }
  SECTION("the new release is kept, and updates itself to one that is laid out, by a pack") {
    REQUIRE(Ask(node, {"gate"}).code == ExitCode::kDone);
    RunFrom(node, line, next.commit);
    line.Publish("1.2.0", 20, {.laid_out = true, .pack_from = "1.1.0"});
    const Said said = Ask(node, {"update"});
    INFO(said.out << said.err);
    REQUIRE(said.code == ExitCode::kStaged);
    CHECK(PacksSent(server) == 1);
    REQUIRE(Held(node.Boot()) == Slot::A);
    REQUIRE(Ask(node, {"gate"}).code == ExitCode::kDone);
    CHECK(Ask(node, {"verify"}).code == ExitCode::kDone);
    const Said status = Ask(node, {"status"});
    CHECK(status.out.contains("1.2.0"));
  }
}

TEST_CASE("a node of the first formats refuses a release that is laid out, and keeps running") {
  const FirstPrograms& first = First();
  ReleaseLine line;
  const HttpServer server(line.releases().repo);
  const FileNode node(line.releases(), server.url());
  const std::string log = node / "log";
  line.Publish("1.1.0", 20);
  CHECK(first.Run(node, log, {"update"}) == ExitCode::kNotSupported);
  CHECK(ReadText(log).contains("seal format: expected 1, found 2"));
  CHECK(Held(node.Boot()) == Slot::A);
}

}  // namespace
}  // namespace hostos

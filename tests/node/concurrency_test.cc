// Many hostctl at once on one node.
#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/node/release_line.h"
#include "tests/source/http_server.h"
#include "tests/vm/held.h"
#include "tests/vm/process.h"
#include "updater/hostctl/exit_code.h"

namespace hostos {
namespace {

struct Asked {
  std::vector<std::string> words;
  std::set<ExitCode> answers;
};

TEST_CASE("fifty hostctl at once: one works, the others read or say who is at work") {
  ReleaseLine line;
  line.Publish("1.1.0", 50);
  const HttpServer server(line.releases().repo, "limit_rate 400k;");
  const FileNode node(line.releases(), server.url());
  using enum ExitCode;
  const Asked kinds[] = {
      {{"update"}, {kStaged, kBusy}},
      {{"update", "--check", "--json"}, {kDone, kStaged, kBusy}},
      {{"update", "--plan", "--json"}, {kDone, kStaged, kBusy}},
      {{"status", "--json"}, {kDone, kStaged}},
      {{"history", "--json"}, {kDone}},
  };
  std::vector<Process> running;
  for (size_t i = 0; i < 50; i++)
    running.push_back(
        Held(Process::Start(node.Hostctl(kinds[i % 5].words), node / ("log" + std::to_string(i)))));

  size_t had_the_lock = 0;
  for (size_t i = 0; i < running.size(); i++) {
    const auto code = static_cast<ExitCode>(running[i].Wait());
    const std::string said = ReadText(node / ("log" + std::to_string(i)));
    CAPTURE(kinds[i % 5].words, Number(code), said);
    CHECK(kinds[i % 5].answers.contains(code));
    if (code == kBusy)
      CHECK((said.contains("hostctl update, pid") || said.contains("hostctl update --") ||
             said.contains("just begun")));
    had_the_lock += i % 5 < 3 && code != kBusy;
  }
  CHECK(had_the_lock >= 1);
  // That may have been a check, with every update after it; the next update is alone.
  Process next = Held(Process::Start(node.Hostctl({"update"}), node / "next"));
  CHECK(next.Wait() == Number(kStaged));
  Process asked = Held(Process::Start(node.Hostctl({"status", "--json"}), node / "log"));
  CHECK(asked.Wait() == Number(kStaged));
  const auto status = nlohmann::json::parse(ReadText(node / "log"));
  CHECK(status["boots_next"] == "B");
  CHECK(Held(node.Boot()) == Slot::B);
}

}  // namespace
}  // namespace hostos

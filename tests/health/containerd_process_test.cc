#include "updater/health/containerd_process.h"

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <format>
#include <fstream>
#include <future>

#include "tests/containerd/fake_containerd.h"
#include "tests/health/limits.h"
#include "tests/temp_dir.h"
#include "updater/base/unique_fd.h"
#include "updater/health/program.h"

namespace hostos {
namespace {

ContainerdQuestions Questions(const std::string& socket) {
  return {.socket = socket,
          .plugins = {"io.containerd.grpc.v1.cri"},
          .settings = true,
          .canary = "/canary",
          .runtime = "io.containerd.runc.v2",
          .check_timeout = kAmple,
          .limit = kAmple};
}

// What a good program writes, with its last check changed.
std::string Answer(const std::string& last = R"("name":"canary","ok":true)") {
  std::string text = "[";
  for (size_t i = 0; i + 1 < kContainerdChecks.size(); i++)
    text +=
        std::format(R"({{"name":"{}","ok":true,"detail":"d","took":1}},)", kContainerdChecks[i]);
  return text + std::format(R"({{{},"detail":"d","took":1}}])", last);
}

// Asks a shell script in place of the program; the one detail of all checks if they have failed,
// and
// "" if all are good.
std::string Ask(const std::string& script, Milliseconds limit = kAmple) {
  const TempDir dir;
  const std::string program = dir / "program";
  std::ofstream(program) << "#!/bin/sh\n" << script << "\n";
  std::filesystem::permissions(program, std::filesystem::perms(0755));
  ContainerdQuestions questions = Questions("/nowhere");
  questions.limit = limit;
  const std::vector<CheckResult> checks = AskContainerd(program, questions, Milliseconds(0));
  std::string detail;
  REQUIRE(checks.size() == kContainerdChecks.size());
  for (size_t i = 0; i < checks.size(); i++) {
    CHECK(checks[i].name == kContainerdChecks[i]);
    CHECK(checks[i].required);
    CHECK(checks[i].ok == checks[0].ok);
    if (!checks[i].ok) detail = checks[i].detail;
  }
  if (detail.starts_with(program)) detail.erase(0, program.size() + 2);
  return detail;
}

TEST_CASE("a program for containerd that is not there, dies or hangs fails every check") {
  CHECK(AskContainerd("/nowhere/check", Questions("/nowhere"))[4].detail ==
        "/nowhere/check: No such file or directory");
  const std::string print = "printf '%s' '" + Answer() + "'";
  CHECK(Ask(print) == "");
  CHECK(Ask(print + "; exit 3") == "exit code 3, expected 0");
  CHECK(Ask(print + "; kill -SEGV $$") == "killed by signal 11 (Segmentation fault)");
  CHECK(Ask(print + "; exec sleep 1000", kShort) == "did not end within 1 s; killed");
}

TEST_CASE("an answer about containerd that is not all of it fails every check") {
  const auto answered = [](const std::string& answer) {
    return Ask("printf '%s' '" + answer + "'");
  };
  CHECK(answered(Answer()) == "");
  const std::string good = Answer();
  const std::string bad[] = {
      "",
      "[]",
      "{}",
      "null",
      good.substr(0, good.size() - 1),
      good + good,
      "[" + good + "]",
      Answer(R"("name":"canary","ok":1)"),
      Answer(R"("name":"canary","ok":"true")"),
      Answer(R"("name":"canary")"),
      Answer(R"("ok":true)"),
      Answer(R"("name":7,"ok":true)"),
      Answer(R"("name":"units","ok":true)"),
      Answer(R"("name":"canary","ok":true,"more":1)"),
  };
  for (const std::string& answer : bad) {
    INFO(answer);
    CHECK(answered(answer).starts_with("expected the results of 5 checks, found "));
  }
  CHECK(Ask("head -c 3000000 /dev/zero; printf '%s' '" + good + "'")
            .starts_with("expected the results of 5 checks, found 1048576 bytes: "));
}

TEST_CASE("the program for containerd ends with the process that asked") {
  const TempDir dir;
  FakeContainerd containerd(dir / "containerd.sock", {.hangs = {"health"}});
  const std::string code = dir / "code", asked = dir / "asked";
  auto ran = std::async(std::launch::async, [&] {
    return RunProgram(
        {.file = "/bin/sh",
         .words = {"sh", "-c",
                   "{ \"$0\" \"$1\"; echo $? >\"$2\"; } |\n"
                   "while [ ! -e \"$3\" ]; do sleep 0.1; done",
                   CHECK_CONTAINERD, ToJson(Questions(dir / "containerd.sock")), code, asked},
         .environment = {"PATH=/usr/bin:/bin"},
         .limit = kAmple});
  });
  while (containerd.steps().empty() && ran.wait_for(Milliseconds(10)) != std::future_status::ready)
    continue;
  std::ofstream(asked) << "";
  REQUIRE(ran.get()->exit_code == 0);
  CHECK(ReadFile(code) == "1\n");
}

}  // namespace
}  // namespace hostos

#include "images/program.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "images/work_directory.h"
#include "tests/images/small_release.h"

using namespace hostos;

TEST_CASE("a program's output is returned, and added variables replace inherited ones") {
  REQUIRE(::setenv("COLOUR", "red", 1) == 0);
  const auto output =
      RunProgram({"sh", "-c", "echo $COLOUR; env | grep -c ^COLOUR="}, {"COLOUR=blue"});
  REQUIRE(output);
  CHECK(*output == "blue\n1\n");
}

TEST_CASE("a program's failure carries its exit code and its last words") {
  const auto failed = RunProgram({"sh", "-c", "echo no such thing >&2; exit 3"});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message.contains("ended with exit code 3"));
  CHECK(failed.error().message.ends_with("no such thing\n"));
  CHECK_FALSE(RunProgram({"/no/such/program"}));
}

TEST_CASE("a signal stops the running program, and the work directory goes") {
  const TempDir directory;
  // In a process of its own, which stays interrupted.
  const pid_t child = ::fork();
  if (child == 0) {
    CatchInterrupts();
    bool interrupted = false;
    {
      const auto work = WorkDirectory::Beside(directory / "result");
      const auto result = RunProgram({"sh", "-c", "kill -TERM $PPID; exec sleep 100"});
      interrupted = work && !result && result.error().message == "interrupted";
    }
    ::_exit(interrupted ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("no secret in the environment reaches the programs that a verb runs") {
  const SmallRelease small;
  const std::string seen = small / "seen", key = ReadText(small / "ci.pem");
  WriteText(small / "bin/ukify", "#!/bin/sh\nenv >" + seen + "\nexit 1\n", 0755);
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.begin(), HOSTIMAGE);
    words.insert(words.end(), {"--tree", small / "root", "--initrd", small / "initrd"});
    std::filesystem::remove(seen);
    CHECK_FALSE(RunProgram(words, {"PATH=" + (small / "bin") + ":" + ::getenv("PATH"),
                                   "HOSTIMAGE_PASSPHRASE=correct horse", "RELEASE_KEY=" + key,
                                   "SECOND=" + key, "COLOUR=blue"}));
    const std::string environment = ReadText(seen);
    CHECK(environment.contains("COLOUR=blue\n"));
    CHECK_FALSE(environment.contains("HOSTIMAGE_PASSPHRASE"));
    CHECK_FALSE(environment.contains("correct horse"));
    return environment.contains("PRIVATE KEY");
  };
  CHECK(run({"rescue"}));  // they are secrets where one names them
  CHECK_FALSE(run({"commit", "--repo", small / "repo", "--version", "1.0.0", "--channel", "stable",
                   "--key", "env:RELEASE_KEY", "--key=env:SECOND", "--key", "env:RELEASE_KEY"}));
}

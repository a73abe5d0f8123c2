// What hostctl does with the system around it: locks, signals, the service manager.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <sstream>

#include "tests/fakes/fake_clock.h"
#include "tests/temp_dir.h"
#include "updater/base/atomic_file.h"
#include "updater/engine/state_dir.h"
#include "updater/hostctl/interrupt.h"
#include "updater/hostctl/lock_holder.h"
#include "updater/hostctl/system_power.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("the holder of the lock is told without taking it, and nobody when it is free") {
  TempDir dir;
  StateDir state(dir / "state", dir / "run");
  const std::string file = dir / "state/lock";
  CHECK(LockHolder(file) == "");
  {
    Result<Lock> lock = state.TryLock("hostctl update", 1'795'225'800);
    REQUIRE(lock);
    CHECK_THAT(LockHolder(file),
               ContainsSubstring("hostctl update, pid " + std::to_string(::getpid()) +
                                 ", since 2026-11-21"));
  }
  CHECK(LockHolder(file) == "");
}

TEST_CASE("a system without /proc/locks has no known holder") {
  TempDir dir;
  StateDir state(dir / "state", dir / "run");
  Result<Lock> lock = state.TryLock("hostctl update", 1);
  REQUIRE(lock);
  CHECK(LockHolder(dir / "state/lock", dir / "absent") == "");
}

// Runs `body` in a child whose standard error is a pipe, sends `signal` when it says "ready", and
// returns what it wrote after that.
template <class Body>
std::pair<int, std::string> Interrupted(int signal, Body body) {
  int pipe[2];
  REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(pipe[1], STDERR_FILENO);
    ::signal(signal, SIG_DFL);
    body();
    (void)!::write(STDERR_FILENO, "R", 1);
    for (;;) ::pause();
  }
  ::close(pipe[1]);
  std::string said;
  char byte;
  bool sent = false;
  while (::read(pipe[0], &byte, 1) == 1) {
    if (!sent && byte == 'R') {
      sent = ::kill(child, signal) == 0;
      said.clear();
    } else {
      said += byte;
    }
  }
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, said};
}

TEST_CASE("an interrupted run says in which phase, that it resumes, and exits with 1") {
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    auto [code, said] = Interrupted(signal, [] {
      static FakeClock clock;
      static std::ostringstream out;
      static InterruptibleProgress progress(out, clock, PhaseProgress::Style::kLog, 80,
                                            "run it again, it resumes");
      progress.Begin("resolve", "");
      progress.Begin("fetch", "");
    });
    CHECK(code == 1);
    CHECK(said == "hostctl: interrupted in fetch; run it again, it resumes\n");
  }
}

TEST_CASE("an interrupted run on a terminal clears the line first") {
  auto [code, said] = Interrupted(SIGINT, [] { SayWhenInterrupted("interrupted", true); });
  CHECK(code == 1);
  CHECK(said == "\r\033[Khostctl: interrupted\n");
}

// An executable in place of systemctl.
std::string Script(const TempDir& dir, const std::string& body) {
  REQUIRE(WriteFileAtomically(dir / "systemctl", "#!/bin/sh\n" + body, 0755));
  return dir / "systemctl";
}

TEST_CASE("a reboot asks the service manager, is not interrupted by it, and reports its refusal") {
  TempDir dir;
  CHECK(SystemPower(Script(dir, "test \"$*\" = reboot")).Reboot());
  CHECK(SystemPower(Script(dir, "kill -TERM $PPID $$; kill -HUP $PPID $$")).Reboot());
  Result<> refused = SystemPower(Script(dir, "exit 4")).Reboot();
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().message, ContainsSubstring("exit code 4"));
  Result<> killed = SystemPower(Script(dir, "kill -9 $$")).Reboot();
  REQUIRE_FALSE(killed);
  CHECK_THAT(killed.error().message, ContainsSubstring("signal 9"));
  CHECK(SystemPower(dir / "absent").Reboot().error().code == Code::kNotFound);
}

TEST_CASE("a reboot goes through the loader, whatever waits to come in its place") {
  TempDir dir;
  CHECK(SystemPower(Script(dir,
                           "test \"$SYSTEMCTL_SKIP_AUTO_SOFT_REBOOT\" = 1 && "
                           "test \"$SYSTEMCTL_SKIP_AUTO_KEXEC\" = 1 && test \"$PATH\""))
            .Reboot());
}

TEST_CASE("whoever inhibits a reboot is named") {
  TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "systemd-inhibit",
                              "#!/bin/sh\n[ \"$*\" = '--list --no-pager --no-legend' ] || exit 1\n"
                              "echo 'kubelet 0 root 512 kubelet  shutdown draining pods  block'\n"
                              "echo 'agent   0 root 600 agent    shutdown wants time     delay'\n"
                              "echo 'backup  0 root 700 tar      sleep    not now        block'\n",
                              0755));
  const Result<> refused = SystemPower(Script(dir, "exit 1")).Reboot();
  REQUIRE_FALSE(refused);
  CHECK_THAT(
      refused.error().message,
      Catch::Matchers::EndsWith("it ended with exit code 1; held back by: kubelet 0 root 512 "
                                "kubelet shutdown draining pods block"));
}

TEST_CASE("the boot id is the kernel's, without its newline") {
  TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "id", "43c6b2ba-1f2c\n"));
  CHECK(SystemPower("", dir / "id").BootId() == "43c6b2ba-1f2c");
  REQUIRE(WriteFileAtomically(dir / "id", "\n"));
  CHECK_FALSE(SystemPower("", dir / "id").BootId());
  CHECK(SystemPower().BootId()->size() == 36);
}

}  // namespace
}  // namespace hostos

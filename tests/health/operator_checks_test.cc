#include "updater/health/operator_checks.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>

#include "tests/health/limits.h"
#include "tests/temp_dir.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

// A health.d of real files. They must be root's, so the tests run as root.
class Checks {
 public:
  Checks() {
    if (::geteuid() != 0) SKIP("operator checks must be owned by root: run as root");
    for (const char* group : {"required", "wanted"})
      std::filesystem::create_directory(dir_ / group);
  }

  std::string Add(const std::string& name, const std::string& text, mode_t mode = 0755) {
    const std::string path = dir_ / name;
    std::ofstream(path) << text;
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    return path;
  }
  std::string AddScript(const std::string& name, const std::string& body) {
    return Add(name, "#!/bin/sh\n" + body + "\n");
  }

  std::vector<CheckResult> Run(Milliseconds timeout = kAmple, Milliseconds deadline = kAmple) {
    return RunOperatorChecks(dir_.path(), timeout, Deadline(deadline));
  }
  CheckResult RunOne(Milliseconds timeout = kAmple) {
    std::vector<CheckResult> checks = Run(timeout);
    REQUIRE(checks.size() == 1);
    return checks[0];
  }

  const TempDir& dir() const { return dir_; }

 private:
  TempDir dir_;
};

// Whether a process that is not our child is over, or is in a moment: a kill takes one.
bool Ended(pid_t pid) {
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return errno == ESRCH;
  pollfd polled = {pidfd.get(), POLLIN, 0};
  return ::poll(&polled, 1, 10'000) == 1;
}

TEST_CASE("checks run in the order of their names, required before wanted") {
  Checks checks;
  checks.AddScript("wanted/00-first", "exit 0");
  checks.AddScript("required/20-b", "exit 0");
  checks.AddScript("required/10-a", "exit 0");
  checks.AddScript("required/.hidden", "exit 1");
  const std::vector<CheckResult> results = checks.Run();
  REQUIRE(results.size() == 3);
  CHECK(results[0].name == "required/10-a");
  CHECK(results[1].name == "required/20-b");
  CHECK(results[2].name == "wanted/00-first");
  CHECK(results[0].required);
  CHECK_FALSE(results[2].required);
  for (const CheckResult& result : results) CHECK(result.ok);
}

TEST_CASE("no directory is no checks") {
  CHECK(RunOperatorChecks("/nowhere/health.d", kAmple, Deadline(kAmple)).empty());
}

TEST_CASE("an exit code other than 0 fails, with the output") {
  Checks checks;
  checks.AddScript("required/dns",
                   "echo looking; echo 'no answer from \033[1m10.0.0.2' >&2; exit 3");
  const CheckResult result = checks.RunOne();
  CHECK_FALSE(result.ok);
  CHECK(result.detail == "exit code 3, expected 0");
  CHECK(result.output == "looking\nno answer from ?[1m10.0.0.2\n");
}

TEST_CASE("exit code 75 fails, and says that the cause is outside the machine") {
  Checks checks;
  checks.AddScript("required/dns", "exit 75");
  const CheckResult result = checks.RunOne();
  CHECK_FALSE(result.ok);
  CHECK(result.environment);
  CHECK(result.detail == "exit code 75: the cause is outside this machine");
}

TEST_CASE("a check killed by a signal fails and the signal is named") {
  Checks checks;
  checks.AddScript("required/crash", "kill -SEGV $$");
  CHECK(checks.RunOne().detail == "killed by signal 11 (Segmentation fault)");
}

TEST_CASE("a check that hangs is killed with its children when its time is over") {
  Checks checks;
  const std::string pid_file = checks.dir() / "pids";
  checks.AddScript("required/hang", "trap '' TERM\nsleep 1000 & echo $$ $! >" + pid_file +
                                        "; echo begun; wait; wait");
  const CheckResult result = checks.RunOne(Seconds(2));
  CHECK_FALSE(result.ok);
  CHECK(result.detail == "did not end within 2 s; killed");
  CHECK(result.output == "begun\n");
  CHECK(result.took >= Seconds(2));
  CHECK(result.took < Seconds(20));
  pid_t parent = 0, child = 0;
  std::ifstream(pid_file) >> parent >> child;
  REQUIRE(child > 0);
  CHECK(Ended(parent));
  CHECK(Ended(child));
}

TEST_CASE("a check that leaves a child behind with the output open ends all the same") {
  Checks checks;
  const std::string pid_file = checks.dir() / "pid";
  checks.AddScript("required/forks", "sleep 1000 & echo $! >" + pid_file + "; echo done");
  const CheckResult result = checks.RunOne();
  CHECK(result.ok);
  CHECK(result.output == "done\n");
  CHECK(result.took < Seconds(30));
  pid_t child = 0;
  std::ifstream(pid_file) >> child;
  REQUIRE(child > 0);
  CHECK(Ended(child));
}

TEST_CASE("a child that leaves the session with the output open does not hold the check up") {
  Checks checks;
  const std::string pid_file = checks.dir() / "pid";
  checks.AddScript("required/daemon", "setsid sh -c 'echo $$ >" + pid_file +
                                          "; exec sleep 1000' &\n"
                                          "while [ ! -s " +
                                          pid_file + " ]; do :; done; echo done");
  const CheckResult result = checks.RunOne();
  CHECK(result.ok);
  CHECK(result.output == "done\n");
  CHECK(result.took < Seconds(30));
  pid_t child = 0;
  std::ifstream(pid_file) >> child;
  REQUIRE(child > 0);
  CHECK(::kill(child, SIGKILL) == 0);
}

TEST_CASE("of a huge output the last 4 KiB are kept") {
  Checks checks;
  checks.AddScript("required/loud", "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo the end");
  const CheckResult result = checks.RunOne();
  CHECK(result.ok);
  CHECK(result.output.size() == 4096);
  CHECK(result.output.ends_with("x\nthe end\n"));
}

TEST_CASE("an output without end does not outlive the time limit") {
  Checks checks;
  checks.AddScript("required/endless", "exec cat /dev/zero");
  const CheckResult result = checks.RunOne(Milliseconds(500));
  CHECK(result.detail == "did not end within 0.5 s; killed");
  CHECK(result.took < Seconds(20));
}

TEST_CASE("a check that closes its output early is waited for") {
  Checks checks;
  checks.AddScript("required/quiet", "exec >&- 2>&-; sleep 0.2; exit 4");
  CHECK(checks.RunOne().detail == "exit code 4, expected 0");
}

TEST_CASE("what others than root can change is not run") {
  Checks checks;
  const std::string ran = checks.dir() / "ran";
  const std::string path = checks.AddScript("required/check", "touch " + ran);
  std::string expected;
  SECTION("writable by all") {
    REQUIRE(::chmod(path.c_str(), 0757) == 0);
    expected = " can be written by others than root (mode 0757); not run";
  }
  SECTION("writable by the group") {
    REQUIRE(::chmod(path.c_str(), 0775) == 0);
    expected = " can be written by others than root (mode 0775); not run";
  }
  SECTION("owned by somebody else") {
    REQUIRE(::chown(path.c_str(), 1000, 1000) == 0);
    expected = " is owned by user 1000, expected root; not run";
  }
  SECTION("not executable") {
    REQUIRE(::chmod(path.c_str(), 0644) == 0);
    expected = " is not executable (mode 0644); not run";
  }
  SECTION("no file") {
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
    expected = " is not a regular file; not run";
  }
  const CheckResult result = checks.RunOne();
  CHECK_FALSE(result.ok);
  CHECK(result.detail == path + expected);
  CHECK_FALSE(std::filesystem::exists(ran));
}

TEST_CASE("a directory that others can write to is a failing check, and nothing in it is run") {
  Checks checks;
  const std::string ran = checks.dir() / "ran";
  checks.AddScript("required/check", "touch " + ran);
  REQUIRE(::chmod((checks.dir() / "required").c_str(), 0777) == 0);
  const CheckResult result = checks.RunOne();
  CHECK(result.name == "required");
  CHECK_FALSE(result.ok);
  CHECK(result.detail.contains("can be written by others than root"));
  CHECK_FALSE(std::filesystem::exists(ran));
}

TEST_CASE("nothing runs behind a folder or a link that others can change") {
  Checks checks;
  const std::string ran = checks.dir() / "ran";
  const std::string elsewhere = checks.dir() / "elsewhere";
  std::filesystem::create_directory(elsewhere);
  checks.AddScript("elsewhere/check", "touch " + ran);
  std::filesystem::create_symlink("../elsewhere/check", checks.dir() / "required/check");
  std::string expected = " can be written by others than root (mode 0777); not run";
  SECTION("the folder above, at any height") {
    REQUIRE(::chmod(checks.dir().path().c_str(), 0777) == 0);
    expected = checks.dir().path() + expected;
  }
  SECTION("the folder that a link leads to") {
    REQUIRE(::chmod(elsewhere.c_str(), 0777) == 0);
    expected = elsewhere + expected;
  }
  SECTION("a link on the way, in a folder where others can add what they like") {
    REQUIRE(::chmod(elsewhere.c_str(), 01777) == 0);
    const std::string link = elsewhere + "/link";
    std::filesystem::create_symlink(elsewhere + "/check", link);
    REQUIRE(::lchown(link.c_str(), 1000, 1000) == 0);
    std::filesystem::remove(checks.dir() / "required/check");
    std::filesystem::create_symlink(link, checks.dir() / "required/check");
    expected = link + " is owned by user 1000, expected root; not run";
  }
  const CheckResult result = checks.Run().at(0);
  CHECK_FALSE(result.ok);
  CHECK(result.detail == expected);
  CHECK_FALSE(std::filesystem::exists(ran));
}

TEST_CASE("a check may be a link to a program of root's") {
  Checks checks;
  std::filesystem::create_symlink("/usr/bin/true", checks.dir() / "required/direct");
  std::filesystem::create_symlink("../required/./direct", checks.dir() / "wanted/indirect");
  for (const CheckResult& result : checks.Run()) CHECK(result.detail == "exit code 0");
  std::filesystem::create_symlink("endless", checks.dir() / "wanted/endless");
  CHECK(checks.Run()[1].detail.contains("Too many levels of symbolic links"));
}

// The interpreter is where there is time to do it: the kernel has started it, and it has not opened
// the script yet.
TEST_CASE("the file that was looked at runs, whatever takes its name meanwhile") {
  Checks checks;
  const std::string evil = checks.AddScript("evil", "echo evil");
  const std::string swap =
      checks.AddScript("swap", "mv " + evil + " \"$HOSTCTL_CHECK_FILE\"; exec /bin/sh \"$1\"");
  checks.Add("required/check", "#!" + swap + "\necho good\n");
  CHECK(checks.RunOne().output == "good\n");
  CHECK(checks.RunOne().output == "evil\n");  // it did take its name
}

TEST_CASE("what cannot be executed says why") {
  Checks checks;
  SECTION("no interpreter line") {
    checks.Add("required/text", "exit 0\n");
    CHECK(checks.RunOne().detail.ends_with("is neither a program nor a script with a #! line"));
  }
  SECTION("an interpreter that is not there") {
    const std::string path = checks.Add("required/text", "#!/no/such/shell -e\n");
    CHECK(checks.RunOne().detail ==
          path + ": the program that its #! line names is not there: /no/such/shell -e");
  }
  SECTION("lines that end in CRLF") {
    const std::string path = checks.Add("required/text", "#!/bin/sh\r\nexit 0\r\n");
    CHECK(checks.RunOne().detail ==
          path +
              ": its lines end in CRLF, so that its #! line names a program that is not there; "
              "save it with LF line ends");
  }
  SECTION("a link to nowhere") {
    std::filesystem::create_symlink("/no/such/check", checks.dir() / "required/link");
    CHECK(checks.RunOne().detail.contains("No such file or directory"));
  }
}

TEST_CASE("a check has the documented environment and nothing else") {
  Checks checks;
  REQUIRE(::setenv("SECRET", "1", 1) == 0);
  checks.AddScript("wanted/env",
                   "pwd; cat; ls /proc/self/fd; env | grep -v -e ^_= -e ^PWD= | sort");
  const CheckResult result = checks.RunOne(Milliseconds(9500));
  CHECK(result.ok);
  CHECK(result.output ==
        "/\n0\n1\n2\n3\n4\n"  // 3 is the check itself, 4 is ls reading the directory
        "HOSTCTL_CHECK=wanted/env\nHOSTCTL_CHECK_FILE=" +
            checks.dir().path() +
            "/wanted/env\nHOSTCTL_CHECK_TIMEOUT=10\nLANG=C.UTF-8\n"
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n");
}

TEST_CASE("a check runs with no signal blocked or ignored") {
  Checks checks;
  // Without a shell, which would clear its own mask.
  checks.Add("required/signals", "#!/usr/bin/env -S grep -hE ^Sig(Blk|Ign) /proc/self/status\n");
  sigset_t all, before;
  ::sigfillset(&all);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  const sighandler_t handler = ::signal(SIGPIPE, SIG_IGN);
  const CheckResult result = checks.RunOne();
  ::signal(SIGPIPE, handler);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
  CHECK(result.output == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_CASE("what does not get its turn before the deadline is reported as not tried") {
  Checks checks;
  checks.AddScript("required/10-slow", "exec sleep 1000");
  checks.AddScript("required/20-next", "exit 0");
  const std::vector<CheckResult> results = checks.Run(kAmple, Milliseconds(400));
  REQUIRE(results.size() == 2);
  CHECK(results[0].detail == "did not end within 0.4 s; killed");
  CHECK_FALSE(results[1].ok);
  CHECK(results[1].detail == "not tried: no time was left");
}

}  // namespace
}  // namespace hostos

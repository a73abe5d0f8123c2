#include "updater/hostctl/failure.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/hostctl/samples.h"
#include "tests/tuf/repository.h"
#include "updater/release/commit.h"
#include "updater/release/release_target.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

// A runs 1.0.0, B has 1.1.0 to fall back to.
BootState TwoGoodSlots() {
  BootState state;
  state.slots[0].label = "hostos_1.0.0";
  state.slots[1].label = "hostos_1.1.0";
  state.slots[0].root_hash = SampleDigest("root 1.0.0");
  state.running = RunningRelease{Slot::A, SampleDigest("root 1.0.0")};
  state.slots[1].root_hash = SampleDigest("root 1.1.0");
  state.entries = {{.file = "a.efi", .root_hash = *state.slots[0].root_hash},
                   {.file = "b.efi", .root_hash = *state.slots[1].root_hash}};
  return state;
}

BootState Invalidated() {
  BootState state = TwoGoodSlots();
  state.entries.pop_back();
  state.slots[1] = {.label = "_empty"};
  return state;
}

TEST_CASE("every code has an exit code, and every exit code its number in the table") {
  int number = 0;
  for (const ExitCodeMeaning& row : kExitCodes) CHECK(Number(row.code) == number++);
  CHECK(number == 15);
  CHECK(ExitCodeOf(Code::kFailed) == ExitCode::kFailed);
  CHECK(ExitCodeOf(Code::kNotFound) == ExitCode::kFailed);
  CHECK(Number(ExitCodeOf(Code::kUsage)) == 2);
  CHECK(Number(ExitCodeOf(Code::kNothingToDo)) == 3);
  CHECK(Number(ExitCodeOf(Code::kBusy)) == 6);
  CHECK(Number(ExitCodeOf(Code::kNotTrusted)) == 7);
  CHECK(Number(ExitCodeOf(Code::kNetwork)) == 8);
  CHECK(Number(ExitCodeOf(Code::kNoSpace)) == 9);
  CHECK(Number(ExitCodeOf(Code::kUnhealthy)) == 10);
  CHECK(Number(ExitCodeOf(Code::kNotSupported)) == 11);
  CHECK(Number(ExitCodeOf(Code::kRefused)) == 12);
  CHECK(Number(ExitCodeOf(Code::kNotNow)) == 13);
}

TEST_CASE("nothing was changed only when the evidence is the same and nothing had begun") {
  const BootState before = TwoGoodSlots();
  CHECK(WhatIsLeft(before, before, false) == "Nothing was changed.");
  CHECK(WhatIsLeft(Invalidated(), Invalidated(), false) == "Nothing was changed.");
  CHECK(WhatIsLeft(before, before, true) == "The running system is unchanged, and boots next.");
}

TEST_CASE("a slot that was invalidated is said to be not bootable") {
  const std::string expected =
      "The running system is unchanged; slot B is not bootable until an update succeeds.";
  CHECK(WhatIsLeft(TwoGoodSlots(), Invalidated(), false) == expected);
  CHECK(WhatIsLeft(TwoGoodSlots(), Invalidated(), true) == expected);
  CHECK(WhatIsLeft(Invalidated(), Invalidated(), true) == expected);
}

TEST_CASE("a slot that boots next after a failure is said to do so") {
  BootState after = TwoGoodSlots();
  std::swap(after.entries[0], after.entries[1]);
  CHECK(WhatIsLeft(TwoGoodSlots(), after, true) ==
        "The running system is unchanged; slot B boots next.");
}

TEST_CASE("evidence that cannot be read is not guessed at") {
  CHECK(WhatIsLeft(TwoGoodSlots(), Fail(Code::kFailed, "I/O error"), true) ==
        "The running system is unchanged.");
}

TEST_CASE("a failure is the whole truth, then what is left, then the rest, then what to do") {
  const Error error{Code::kNoSpace,
                    "not enough space on the ESP\nFiles there that HostOS does not know: x"};
  CHECK(FailureText(error, "Nothing was changed.", "Make room.") ==
        "hostctl: not enough space on the ESP\nNothing was changed.\n"
        "Files there that HostOS does not know: x\nMake room.\n");
  CHECK(FailureText({Code::kFailed, "no"}, "", "") == "hostctl: no\n");
  CHECK_THAT(FailureText({Code::kNetwork, "HTTP 503 \033[31m"}, "", ""),
             !ContainsSubstring("\033"));
}

TEST_CASE("what to do after a refusal is the very command that was refused, with --retry") {
  Result<Invocation> invocation =
      ParseCommandLine(std::vector<const char*>{"update", "--version", "1.2.0"});
  REQUIRE(invocation);
  CHECK_THAT(Advice({Code::kRefused, ""}, *invocation),
             ContainsSubstring("hostctl update --version 1.2.0 --retry"));
  invocation->version.reset();
  CHECK_THAT(Advice({Code::kRefused, ""}, *invocation),
             ContainsSubstring("hostctl update --retry"));
  CHECK_THAT(Advice({Code::kNetwork, ""}, *invocation), ContainsSubstring("it resumes"));
}

TEST_CASE("what is not trusted has advice of its own for each cause, with the command") {
  const Result<Invocation> update = ParseCommandLine(std::vector<const char*>{"update"});
  REQUIRE(update);
  const auto advice = [&](Error error) {
    CAPTURE(error.message);
    REQUIRE(error.code == Code::kNotTrusted);
    // One layer further out it is the same.
    return Advice(std::move(error).Wrap("https://releases.test/repo: metadata"), *update);
  };
  tuf::Repository repository;
  tuf::Machine machine(repository);
  const std::string old = repository.metadata.files["timestamp.json"];
  repository.Publish({"timestamp"});
  REQUIRE(machine.Refresh());
  repository.metadata.files["timestamp.json"] = old;
  CHECK_THAT(advice(machine.Refused()),
             ContainsSubstring("hostimage mirror") && ContainsSubstring("hostimage bundle"));
  repository["timestamp"]["expires"] = tuf::kYesterday;
  repository.Publish({"timestamp"});
  CHECK_THAT(advice(machine.Refused()),
             ContainsSubstring("hostimage renew ROLE") && ContainsSubstring("timedatectl"));
  repository["timestamp"]["expires"] = tuf::kFarAway;
  repository.signers("timestamp") = {tuf::TestKey()};
  repository.Publish({"timestamp"});
  CHECK_THAT(advice(machine.Refused()), ContainsSubstring("/usr/lib/hostos/tuf/root.json"));

  CHECK_THAT(advice(VerifyCommit("commit", "", {}, {}).error()),
             ContainsSubstring("Compare the keys in /etc/hostctl/keys.d") &&
                 ContainsSubstring("hostimage public --key FILE"));
  const std::string nowhere = "/no/keys.d";
  CHECK_THAT(advice(LoadTrustedKeys({&nowhere, 1}).error()),
             ContainsSubstring("/etc/hostctl/keys.d/NAME.pub"));
  CHECK_THAT(advice(CheckLimits({.timestamp = 2}, 0, {.time = 1}).error()),
             ContainsSubstring("hostimage commit") && ContainsSubstring("timedatectl"));
  const std::string other = advice({Code::kNotTrusted, "expected SHA-256 1234, found 5678"});
  CHECK_THAT(other,
             ContainsSubstring("hostimage verify") && !ContainsSubstring("Compare the keys"));
}

}  // namespace
}  // namespace hostos

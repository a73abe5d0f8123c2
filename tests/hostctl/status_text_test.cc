#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/hostctl/samples.h"
#include "updater/hostctl/text.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

std::string Text(const StatusView& view) {
  return StatusText(view, Paint(false));
}

// The line of `text` that begins with `start`.
std::string Line(const std::string& text, const std::string& start) {
  const size_t at = text.starts_with(start) ? 0 : text.find("\n" + start);
  if (at == std::string::npos) return "no line \"" + start + "\" in\n" + text;
  const size_t begin = at == 0 && text.starts_with(start) ? 0 : at + 1;
  return text.substr(begin, text.find('\n', begin) - begin);
}

TEST_CASE("status shows what runs, both slots and the time of the last check") {
  const std::string text = Text(SampleStatus());
  CHECK_THAT(Line(text, "HostOS"), ContainsSubstring("HostOS 1.1.0 · stable · x86-64") &&
                                       Catch::Matchers::EndsWith(" good"));
  CHECK_THAT(Line(text, "* B"),
             ContainsSubstring("1.1.0") &&
                 ContainsSubstring(SampleDigest("commit 1.1.0").Short()) &&
                 ContainsSubstring(SampleDigest("root 1.1.0").Short()) &&
                 ContainsSubstring("running · blessed 2026-11-21 01:02 UTC · boots next"));
  CHECK_THAT(Line(text, "  A"), ContainsSubstring("1.0.0") && ContainsSubstring("fallback"));
  CHECK(Line(text, "Update") == "Update   none in progress (last checked 2 min ago)");
  CHECK(ExitOf(SampleStatus()) == ExitCode::kDone);
}

TEST_CASE("the columns of the slot table stand under their names") {
  StatusView view = SampleStatus();
  view.status.slots[1].release->version = "2026.11.21-1";
  const std::string text = Text(view);
  const std::string head = Line(text, "  slot");
  for (const std::string& row : {Line(text, "* B"), Line(text, "  A")}) {
    CAPTURE(text);
    for (const char* column : {"version", "commit", "root hash", "state"}) {
      const size_t at = head.find(column);
      CHECK(row[at - 1] == ' ');
      CHECK(row[at] != ' ');
    }
  }
}

TEST_CASE("a fallback is shown with its release, time, boots and reason, and exits with 5") {
  const StatusView view = SampleFallback();
  const std::string text = Text(view);
  CHECK_THAT(Line(text, "HostOS"), ContainsSubstring("fell back"));
  CHECK_THAT(Line(text, "Refused"),
             ContainsSubstring("1.2.0 (" + SampleDigest("commit 1.2.0").Short() +
                               ") fell back on 2026-11-20 23:40 UTC after 1 boot:"));
  CHECK_THAT(text, ContainsSubstring("\n         canary: did not start within 30 s\n"));
  CHECK_THAT(text, ContainsSubstring("hostctl status --why") &&
                       ContainsSubstring("hostctl update --version 1.2.0 --retry"));
  CHECK_THAT(Line(text, "  A"), ContainsSubstring("bad: given up"));
  CHECK(ExitOf(view) == ExitCode::kFellBack);
}

TEST_CASE("a staged release says that a reboot is needed, also after a fallback") {
  StatusView view = SampleFallback();
  Status& status = view.status;
  status.update = SampleUpdate(Phase::kArmed);
  status.slots[0] = SampleSlot(Slot::A, SlotCondition::kArmed, "1.3.0");
  status.slots[0].tries = Tries{3, 0};
  status.slots[0].boots_next = true;
  status.slots[1].boots_next = false;
  const std::string text = Text(view);
  CHECK_THAT(Line(text, "HostOS"), ContainsSubstring("reboot needed"));
  CHECK_THAT(Line(text, "  A"), ContainsSubstring("staged, 3 tries left · boots next"));
  CHECK_THAT(Line(text, "Update"), ContainsSubstring("1.3.0") &&
                                       ContainsSubstring("in slot A is staged: reboot to run it") &&
                                       ContainsSubstring("back to 1.1.0"));
  CHECK(ExitOf(view) == ExitCode::kStaged);

  // By the rescue system, beside an empty slot.
  status.update->from = {};
  CHECK_THAT(Line(Text(view), "Update"), ContainsSubstring("back to the rescue system"));

  status.slots[0].boots_next = false;
  status.slots[1].boots_next = true;
  CHECK_THAT(Line(Text(view), "Update"), ContainsSubstring("does not boot next"));
}

TEST_CASE("a rollback that waits for its reboot exits with 4, though no update is recorded") {
  StatusView view = SampleStatus();
  view.status.slots[0].boots_next = true;
  view.status.slots[1].boots_next = false;
  CHECK(ExitOf(view) == ExitCode::kStaged);
}

TEST_CASE(
    "a release on trial is neither staged nor good, though the loader has spent its last try") {
  StatusView view = SampleStatus();
  Status& status = view.status;
  status.update = SampleUpdate(Phase::kTrial);
  status.update->attempts = {{"boot-1", kNow - 60}, {"boot-2", kNow}};
  status.slots[1].running = false;
  status.slots[0] = SampleSlot(Slot::A, SlotCondition::kTrial, "1.3.0");
  status.slots[0].running = true;
  status.slots[0].tries = Tries{1, 2};
  const std::string text = Text(view);
  CHECK_THAT(Line(text, "HostOS"), ContainsSubstring("on trial"));
  CHECK_THAT(Line(text, "* A"), ContainsSubstring("running · on trial, 1 try left"));
  CHECK_THAT(Line(text, "Update"), ContainsSubstring("is on trial, boot 2") &&
                                       ContainsSubstring("if it fails, back to 1.1.0"));
  // Counted again at a planned reboot, with nothing in the other slot.
  status.update->was_good = true;
  status.update->from = status.update->target;
  CHECK_THAT(Line(Text(view), "Update"),
             ContainsSubstring("if it fails, back to the rescue system"));
  CHECK(ExitOf(view) == ExitCode::kDone);
}

TEST_CASE("an update that stopped says where, and how to go on; one that runs says who runs it") {
  StatusView view = SampleStatus();
  view.status.slots[0] = SlotStatus{.slot = Slot::A};
  for (Phase phase : {Phase::kFetch, Phase::kWrite, Phase::kProve, Phase::kArm}) {
    view.status.update = SampleUpdate(phase);
    view.lock_holder = "";
    CHECK_THAT(Line(Text(view), "Update"),
               ContainsSubstring(std::string("was interrupted in ") + Name(phase)) &&
                   ContainsSubstring("5 min ago; resume it: hostctl update"));
    view.lock_holder = "hostctl update, pid 812, since 2026-11-21 01:45 UTC";
    CHECK_THAT(Line(Text(view), "Update"), ContainsSubstring(std::string(Name(phase)) + " now") &&
                                               ContainsSubstring("pid 812") &&
                                               !ContainsSubstring("interrupted"));
  }
  CHECK_THAT(Line(Text(view), "  A"), ContainsSubstring("empty"));
}

TEST_CASE("a self-test says how it ended or what it waits for; a failed one exits with 10") {
  StatusView view = SampleStatus();
  CHECK_THAT(Text(view), !ContainsSubstring("self-test"));
  view.status.selftest = SelfTest{};
  CHECK(Line(Text(view), "Loader") ==
        "Loader   self-test begins with the next boot, and takes 3: reboot");
  view.status.selftest->boots = 2;
  CHECK(Line(Text(view), "Loader") ==
        "Loader   self-test in progress: boot 2 of 3 was as expected");
  view.status.selftest->state = SelfTestState::kPassed;
  view.status.selftest->time = kNow;
  CHECK(Line(Text(view), "Loader") ==
        "Loader   self-test passed 2026-11-21 01:50 UTC: it counts tries, and falls back");
  CHECK_THAT(WhyText(view, Paint(false)), !ContainsSubstring("Loader"));
  CHECK(ExitOf(view) == ExitCode::kDone);

  view.status.selftest = SampleSelfTest();
  const std::string line =
      "Loader   self-test failed 2026-11-21 01:50 UTC: boot 1 of 3: it does not count";
  CHECK(Line(Text(view), "Loader") == line);
  CHECK_THAT(Line(Text(view), "HostOS"), ContainsSubstring("loader failed"));
  CHECK(Line(WhyText(view, Paint(false)), "Loader") == line);
  CHECK(ExitOf(view) == ExitCode::kNotHealthy);
}

TEST_CASE("status tells the version of the rescue; one that should be another exits with 10") {
  StatusView view = SampleStatus();
  CHECK_THAT(Text(view), !ContainsSubstring("Rescue"));
  view.status.rescue = {.file = "hostos-rescue.efi", .version = "1.1.0", .problem = ""};
  CHECK(Line(Text(view), "Rescue") == "Rescue   1.1.0");
  CHECK(ExitOf(view) == ExitCode::kDone);
  view.status.rescue.problem = "expected the rescue of 1.1.0 on the ESP, found none";
  CHECK(Line(Text(view), "Rescue") ==
        "Rescue   expected the rescue of 1.1.0 on the ESP, found none");
  CHECK_THAT(Line(Text(view), "HostOS"), ContainsSubstring("old rescue"));
  CHECK(ExitOf(view) == ExitCode::kNotHealthy);
}

TEST_CASE(
    "status tells of a preview, and of the end of support; one that has ended exits with 14") {
  StatusView view = SampleStatus();
  const std::string quiet = Text(view);
  CHECK_THAT(quiet, !ContainsSubstring("Support") && !ContainsSubstring("PREVIEW"));
  constexpr uint64_t kDay = 86'400;
  view.status.support.ends = view.now / kDay * kDay + 91 * kDay;
  CHECK(Text(view) == quiet);

  view.status.support.ends -= kDay;
  CHECK(Line(Text(view), "Support") == "Support  of this release ends on 2027-02-19");
  CHECK(ExitOf(view) == ExitCode::kDone);

  view.status.support = {.preview = true, .ends = view.now};
  CHECK(Line(Text(view), "Support") ==
        "Support  of this release ended on 2026-11-21: nobody mends it; update to a newer one");
  CHECK_THAT(Line(Text(view), "HostOS"),
             ContainsSubstring("PREVIEW, not for production") && ContainsSubstring("unsupported"));
  CHECK(ExitOf(view) == ExitCode::kUnsupported);

  view.status.rescue.problem = "too old";
  CHECK(ExitOf(view) == ExitCode::kNotHealthy);  // what can break comes first
}

TEST_CASE("status tells how the slots were verified last; one that was not proven exits with 7") {
  StatusView view = SampleStatus();
  CHECK_THAT(Text(view), !ContainsSubstring("Verify"));
  view.status.slots[1].verified = Verification{.time = kNow};
  CHECK(Line(Text(view), "Verify") == "Verify   slot B proven 2026-11-21 01:50 UTC");
  CHECK(ExitOf(view) == ExitCode::kDone);
  view.status.slots[0].verified = Verification{.time = kNow, .problem = "block 12 differs"};
  CHECK_THAT(Text(view), ContainsSubstring("\nVerify   slot A NOT PROVEN 2026-11-21 01:50 UTC:\n"
                                           "         block 12 differs\nVerify   slot B proven "));
  CHECK_THAT(Line(Text(view), "HostOS"), ContainsSubstring("not proven"));
  CHECK(ExitOf(view) == ExitCode::kNotTrusted);
}

TEST_CASE("a status of which part could not be read says so, and fails") {
  StatusView view = SampleStatus();
  view.problems = {"record: /var/lib/hostos/record.json: expected JSON"};
  const std::string text = Text(view);
  CHECK_THAT(Line(text, "HostOS"), ContainsSubstring("degraded"));
  CHECK_THAT(Line(text, "Problem"), ContainsSubstring("record.json: expected JSON"));
  CHECK(ExitOf(view) == ExitCode::kFailed);
}

TEST_CASE("only the newest refused releases are listed, with the number of the others") {
  StatusView view = SampleStatus();
  for (int i = 1; i <= 5; i++)
    view.status.denied.push_back({SampleId(std::format("1.2.{}", i)), kNow, "asked by me", 0});
  const std::string text = Text(view);
  CHECK_THAT(text, ContainsSubstring("1.2.5") && ContainsSubstring("1.2.3") &&
                       !ContainsSubstring("1.2.2") && ContainsSubstring("and 2 more"));
  CHECK_THAT(text, ContainsSubstring("was given up on"));
}

TEST_CASE("status --why tells all of a fallback: whole digests, boots, the check and its output") {
  const std::string text = WhyText(SampleFallback(), Paint(false));
  CHECK_THAT(Line(text, "1.2.0"),
             ContainsSubstring("fell back on 2026-11-20 23:40 UTC after 1 boot"));
  CHECK_THAT(text, ContainsSubstring("commit     " + SampleDigest("commit 1.2.0").Hex()));
  CHECK_THAT(text, ContainsSubstring("root hash  " + SampleDigest("root 1.2.0").Hex()));
  CHECK_THAT(text, ContainsSubstring("reason     canary: did not start within 30 s"));
  CHECK_THAT(text, ContainsSubstring("    runc: exec format error\n    exit code 1\n"));
  CHECK_THAT(text, ContainsSubstring("hostctl update --version 1.2.0 --retry"));
  CHECK(WhyText(SampleStatus(), Paint(false)) == "No release was given up on this machine.\n");
}

TEST_CASE("a fallback that denied nothing is told all the same") {
  StatusView view = SampleFallback();
  view.status.denied.clear();
  view.status.fallback->reason = "its boot entry was gone";
  CHECK_THAT(Text(view), ContainsSubstring("Failed   1.2.0") && ContainsSubstring("was gone"));
  CHECK_THAT(WhyText(view, Paint(false)), ContainsSubstring("its boot entry was gone"));
}

TEST_CASE("what a check printed cannot drive the terminal") {
  StatusView view = SampleFallback();
  view.history[0].output = "\033[2Jgone";
  view.status.denied[0].reason = "canary: \033]0;x\007";
  CHECK_THAT(WhyText(view, Paint(false)), !ContainsSubstring("\033") && !ContainsSubstring("\007"));
}

TEST_CASE("the status says what the update moved over the network, or else the last one") {
  StatusView view = SampleStatus();
  CHECK_THAT(Text(view), !ContainsSubstring("Network"));
  view.status.traffic = Traffic{41'200'000, 9, 40'000'000, 1};
  CHECK_THAT(Text(view),
             ContainsSubstring("Network  41.2 MB in 9 requests, 40.0 MB of it in a delta "
                               "pack, by the last update\n"));
  view.status.update = SampleUpdate(Phase::kArmed);
  CHECK_THAT(Text(view), ContainsSubstring("delta pack, by the update\n"));
}

TEST_CASE("colors are only for those who asked") {
  CHECK_THAT(StatusText(SampleStatus(), Paint(true)), ContainsSubstring("\033[32mgood\033[0m"));
  CHECK_THAT(Text(SampleStatus()), !ContainsSubstring("\033"));
}

}  // namespace
}  // namespace hostos

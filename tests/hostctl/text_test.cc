#include "updater/hostctl/text.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/hostctl/samples.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("sizes, counts, ages and times are written for people") {
  CHECK(FormatSize(1) == "1 byte");
  CHECK(FormatSize(999) == "999 bytes");
  CHECK(FormatSize(12'345) == "12.3 kB");
  CHECK(FormatSize(41'249'999) == "41.2 MB");
  CHECK(FormatSize(999'949'999) == "999.9 MB");
  CHECK(FormatSize(999'950'000) == "1.0 GB");
  CHECK(FormatSize(3'100'000'000) == "3.1 GB");
  CHECK(FormatSizeOf(21'400'000, 41'200'000) == "21.4 of 41.2 MB");
  CHECK(FormatCount(0) == "0");
  CHECK(FormatCount(999) == "999");
  CHECK(FormatCount(1'303'000) == "1,303,000");
  CHECK(Plural(1, "boot") == "1 boot");
  CHECK(Plural(3, "boot") == "3 boots");
  CHECK(FormatAge(1000, 1059) == "just now");
  CHECK(FormatAge(1000, 1000 + 120) == "2 min ago");
  CHECK(FormatAge(1000, 1000 + 7200) == "2 h ago");
  CHECK(FormatAge(1000, 1000 + 3 * 86400) == "3 days ago");
  CHECK(FormatAge(kNow, 0) == "on 2026-11-21 01:50 UTC");
  CHECK(FormatMinutes(Seconds(64)) == "1:04");
  CHECK(FormatSpan(Seconds(60)) == "60 s");
  CHECK(FormatSpan(Seconds(300)) == "5 min");
  CHECK(Indented("a\n\nb\n", 2) == "  a\n  \n  b\n");
  CHECK(FormatTraffic({1'200'000, 1, 0, 0}) == "1.2 MB in 1 request");
  CHECK(FormatTraffic({}) == "nothing");
}

TEST_CASE("a plan says what is moved, written, changed and kept, and that nothing happened") {
  const std::string text = PlanText(SamplePlan());
  CHECK_THAT(text, ContainsSubstring("1.1.0 -> 1.3.0 (stable), released 2026-11-20 00:00 UTC, "
                                     "index 14\n"));
  CHECK_THAT(text, ContainsSubstring("41.2 MB in 1,303 objects; 382.9 MB reused"));
  CHECK_THAT(text, ContainsSubstring("431.0 MB to slot A"));
  CHECK_THAT(text, ContainsSubstring("ESP needs 32.2 MB, has 445.0 of 478.0 MB free"));
  CHECK_THAT(text,
             ContainsSubstring("needs 143.8 MB and 2,412 inodes, has 3.1 GB and 120,000 free"));
  CHECK_THAT(text, ContainsSubstring("3 changed: linux 6.12.107 -> 6.12.117, nano 8.4 added, vi "
                                     "removed"));
  CHECK_THAT(text, ContainsSubstring("2 files of yours stay as they are: hostname, "
                                     "ssh/sshd_config.d/10-site.conf"));
  CHECK_THAT(text, ContainsSubstring("60 s steady within 5 min; 3 tries, then back to 1.1.0"));
  CHECK(text.ends_with("Nothing was changed. `hostctl update` does it.\n"));
}

TEST_CASE("a plan says how fast the download may be, and how long it takes at least") {
  PlanView view = SamplePlan();
  view.rate_limit = 100'000;
  CHECK_THAT(PlanText(view), ContainsSubstring("382.9 MB reused from this machine; at most 0.1 MB "
                                               "per second, so 6:52 min or more\n"));
}

TEST_CASE("a plan counts the rescue that the release brings") {
  PlanView view = SamplePlan();
  CHECK_THAT(PlanText(view), ContainsSubstring("rescue     stays as it is\n"));
  view.plan->rescue = {{SampleDigest("rescue"), 45'000'000}, "1.0.0", true};
  CHECK_THAT(PlanText(view), ContainsSubstring("rescue     45.0 MB on the ESP once the release is "
                                               "kept; in place of that of 1.0.0\n"));
  view.plan->rescue->from = "";
  CHECK_THAT(PlanText(view), ContainsSubstring("is kept; none is there\n"));
  view.plan->rescue->fits = false;
  CHECK_THAT(PlanText(view),
             ContainsSubstring("no room on the ESP for 45.0 MB more: the present one stays\n"));
}

TEST_CASE("a long list of packages is cut, with the number of the others") {
  PlanView view = SamplePlan();
  view.plan->packages.assign(23, {"openssl", "3.5.6", "3.5.7"});
  CHECK_THAT(PlanText(view), ContainsSubstring("23 changed: ") &&
                                 ContainsSubstring(", and 15 more (--json lists all)"));
}

TEST_CASE("a plan lists fixed CVEs by source, cut where there are many") {
  PlanView view = SamplePlan();
  CHECK_THAT(PlanText(view),
             ContainsSubstring("\n  CVEs       2 fixed, by the changelogs of the packages (--json "
                               "lists all)\n             linux 6.12.107-1 -> 6.12.117-1: "
                               "CVE-2026-99272, CVE-2026-9000\n"));
  CveChanges& cves = *view.plan->cves;
  CveChange many = cves.fixed[0];
  many.cves = {"CVE-2026-6", "CVE-2026-5", "CVE-2026-4", "CVE-2026-3", "CVE-2026-2", "CVE-2026-1"};
  cves.fixed.assign(10, many);
  cves.back = {cves.fixed[0]};
  cves.incomplete = {"zlib"};
  CHECK_THAT(PlanText(view),
             ContainsSubstring("at least 6 fixed, by the changelogs of the packages, of which not "
                               "all reach far enough back") &&
                 ContainsSubstring("CVE-2026-3, and 2 more\n") &&
                 ContainsSubstring("\n             and 2 more source packages\n") &&
                 ContainsSubstring("\n             6 back, of packages that become older\n"));
  cves = {};
  CHECK_THAT(PlanText(view),
             ContainsSubstring("CVEs       0 fixed, by the changelogs of the packages\n"));
  view.plan->cves = Fail(Code::kNetwork, "HTTP\x1b 503");
  CHECK_THAT(PlanText(view), ContainsSubstring("CVEs       not known: HTTP? 503\n"));
}

TEST_CASE("a plan without the running release's commit says that the packages are not known") {
  PlanView view = SamplePlan();
  view.plan->running.reset();
  view.plan->packages.clear();
  CHECK_THAT(PlanText(view), ContainsSubstring("packages   not known"));
}

TEST_CASE("a check says which release there is, or why there is none") {
  CheckView view = SamplePlan().check;
  CHECK_THAT(CheckText(view), ContainsSubstring("1.1.0 -> 1.3.0"));
  view.finding = Finding::kStaged;
  CHECK_THAT(CheckText(view), ContainsSubstring("staged already"));
  view = {.finding = Finding::kNothingToDo, .message = "1.1.0 is running already"};
  CHECK(CheckText(view) == "1.1.0 is running already\n");
}

TEST_CASE("health lists every check, and a failed one with its output") {
  HealthView view{
      {{.name = "canary", .ok = true, .detail = "exit code 0", .took = Milliseconds(812)},
       {.name = "wanted/20-dns", .required = false, .detail = "no answer"}}};
  std::string text = HealthText(view, Paint(false));
  CHECK_THAT(text, ContainsSubstring("ok") && ContainsSubstring("812 ms  exit code 0") &&
                       ContainsSubstring("warn") && ContainsSubstring("\nhealthy\n"));
  view.checks.push_back(
      {.name = "required/10-disk", .detail = "exit code 1", .output = "sda: I/O"});
  text = HealthText(view, Paint(false));
  CHECK_THAT(text, ContainsSubstring("FAILED  required/10-disk") &&
                       ContainsSubstring("          sda: I/O\n") &&
                       ContainsSubstring("\nnot healthy\n"));
}

TEST_CASE("history tells how every update ended, newest first") {
  std::vector<HistoryEntry> history = {{.outcome = Outcome::kCommitted,
                                        .time = kNow - 9000,
                                        .release = SampleId("1.1.0"),
                                        .from = "1.0.0",
                                        .slot = Slot::B,
                                        .boots = 1},
                                       {.outcome = Outcome::kFellBack,
                                        .time = kNow - 7800,
                                        .release = SampleId("1.2.0"),
                                        .from = "1.1.0",
                                        .slot = Slot::A,
                                        .boots = 3,
                                        .reason = "did not reach its health gate"},
                                       {.outcome = Outcome::kRolledBack,
                                        .time = kNow,
                                        .release = SampleId("1.1.0"),
                                        .from = "1.0.0",
                                        .slot = Slot::B,
                                        .reason = "rolled back by the operator"}};
  const std::string text = HistoryText({history, {}});
  const size_t committed = text.find("committed    1.1.0");
  const size_t fell_back = text.find("fell back    1.2.0");
  const size_t rolled_back = text.find("rolled back  1.1.0");
  CHECK(rolled_back < fell_back);
  CHECK(fell_back < committed);
  CHECK_THAT(text, ContainsSubstring("in slot A after 3 boots, to 1.1.0") &&
                       ContainsSubstring("did not reach its health gate") &&
                       ContainsSubstring("after 1 boot, was 1.0.0"));
  const StatusView fallback = SampleFallback();
  CHECK_THAT(
      HistoryText({fallback.history, fallback.post_mortems}),
      ContainsSubstring("failed in: health gate; last reset: the health gate rebooted it\n"));
  std::vector<HistoryEntry> counted = fallback.history;
  counted[0].traffic = Traffic{41'200'000, 9, 40'000'000, 1};
  CHECK_THAT(HistoryText({counted, {}}),
             ContainsSubstring("over the network: 41.2 MB in 9 requests, 40.0 MB of it in a delta "
                               "pack\n"));
  CHECK(HistoryText({}) == "No update has come to an end on this machine yet.\n");
}

TEST_CASE("verify shows which slot is proven, which differs, and which is empty") {
  VerifyView view;
  view.slots.push_back(
      {{.slot = Slot::A, .release = SampleRelease("1.1.0"), .proven = true}, true});
  view.slots.push_back({{.slot = Slot::B}, false, true});
  std::string text = VerifyText(view, Paint(false));
  CHECK_THAT(text,
             ContainsSubstring("* A  1.1.0 (" + SampleDigest("commit 1.1.0").Short() +
                               ")  proven: its root hash " + SampleDigest("root 1.1.0").Short()) &&
                 ContainsSubstring("  B  -  empty"));
  CHECK(ExitOf(view) == ExitCode::kDone);

  view.slots[1] = {
      {.slot = Slot::B, .release = SampleRelease("1.0.0"), .problem = "block 12 differs"}};
  CHECK_THAT(VerifyText(view, Paint(false)), ContainsSubstring("NOT PROVEN: block 12 differs"));
  CHECK(ExitOf(view) == ExitCode::kNotTrusted);
}

TEST_CASE("verify lists what no release signed, and fails for another command line only") {
  VerifyView view;
  view.boot.emplace();
  CHECK(VerifyText(view, Paint(false)).empty());
  view.boot->unsigned_items = {{"loader/addons/a\n\033.addon.efi", "kernel parameters"}};
  CHECK_THAT(VerifyText(view, Paint(false)),
             ContainsSubstring("Not signed by a release") &&
                 ContainsSubstring("\n  loader/addons/a ?.addon.efi: kernel parameters\n"));
  CHECK(ExitOf(view) == ExitCode::kDone);
  view.boot->problem = "expected \"ro\", found \"rw\"";
  CHECK_THAT(VerifyText(view, Paint(false)),
             ContainsSubstring("boot  NOT PROVEN: expected \"ro\""));
  CHECK(ExitOf(view) == ExitCode::kNotTrusted);
}

TEST_CASE("verify says of the rescue whether it is the signed one, as far as that is known") {
  VerifyView view;
  view.rescue = {.file = "hostos-rescue.efi", .version = "1.0.0", .release = "", .problem = ""};
  CHECK_THAT(VerifyText(view, Paint(false)), ContainsSubstring("rescue  1.0.0  not known"));
  CHECK(ExitOf(view) == ExitCode::kDone);
  view.rescue->release = "1.0.0";
  CHECK_THAT(VerifyText(view, Paint(false)), ContainsSubstring("proven: as signed with 1.0.0"));
  CHECK(ExitOf(view) == ExitCode::kDone);
  view.rescue->problem = "expected SHA-256 a, found b";
  CHECK_THAT(VerifyText(view, Paint(false)), ContainsSubstring("NOT PROVEN: expected SHA-256 a"));
  CHECK(ExitOf(view) == ExitCode::kNotTrusted);
}

}  // namespace
}  // namespace hostos

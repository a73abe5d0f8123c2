// The verbs on a whole machine in memory: what they print, and their exit codes.
#include "updater/hostctl/verbs.h"

#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bootctl/entry_name.h"
#include "tests/scenario/full_disk.h"
#include "tests/scenario/machine.h"
#include "tests/text_file.h"
#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

struct Said {
  int code;
  std::string out, err;
};

Said Hostctl(Machine& machine, std::vector<const char*> words, const Error* problem = nullptr) {
  machine.config.url = "https://releases.test/repo";
  Result<Invocation> invocation = ParseCommandLine(words);
  REQUIRE(invocation);
  std::ostringstream out, err;
  Console console{
      .out = out,
      .err = err,
      .style = invocation->quiet ? PhaseProgress::Style::kQuiet : PhaseProgress::Style::kLog};
  ExitCode code = RunVerb(*invocation, machine.world, machine.config, problem, console);
  return {Number(code), out.str(), err.str()};
}

nlohmann::json Json(const Said& said) {
  return nlohmann::json::parse(said.out, nullptr, false);
}

TEST_CASE("a key that is not used is named, and ends no update") {
  Machine machine;
  machine.config.keys = {machine.dir / "keys.d"};
  WriteText(machine.dir / "keys.d/own.pub", "no key");
  Said said = Hostctl(machine, {"status", "--json"});
  CHECK(said.code == 1);
  CHECK_THAT(Json(said)["problems"].at(0).get<std::string>(),
             StartsWith("key: " + machine.dir.path() + "/keys.d/own.pub:1: expected a public key"));
  said = Hostctl(machine, {"update"});
  CHECK(said.code == 4);
  CHECK_THAT(said.err, ContainsSubstring("a key is not used: "));
}

TEST_CASE("update --check exits with 0 when there is a release, 4 when staged, 3 when it runs") {
  Machine machine;
  Said said = Hostctl(machine, {"update", "--check"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, StartsWith("1.0.0 -> 1.1.0"));
  CHECK(Json(Hostctl(machine, {"update", "--check", "--json"}))["result"] == "available");

  CHECK(Hostctl(machine, {"update"}).code == 4);
  said = Hostctl(machine, {"update", "--check"});
  CHECK(said.code == 4);
  CHECK_THAT(said.out, ContainsSubstring("staged already"));

  machine.Boot();
  said = Hostctl(machine, {"update", "--check"});
  CHECK(said.code == 3);
  CHECK_THAT(said.out, ContainsSubstring("is running already"));
  CHECK(said.err == "");
}

TEST_CASE("update --plan changes nothing that boots") {
  Machine machine;
  const auto before = machine.boot.Read()->entries.size();
  Said said = Hostctl(machine, {"update", "--plan"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, ContainsSubstring("Nothing was changed."));
  CHECK(machine.boot.Read()->entries.size() == before);
  CHECK(machine.disk.writes == 0);
  CHECK(Json(Hostctl(machine, {"update", "--plan", "--json"}))["plan"]["slot"] == "B");
}

TEST_CASE("an update of a node that is not healthy is refused with 10, unless it is asked for") {
  Machine machine;
  machine.always = {{.name = "units",
                     .detail = "failed: old.service; see systemctl status",
                     .parts = {"units/old.service"}}};
  Said said = Hostctl(machine, {"update", "--plan"});
  CHECK(said.code == 10);
  CHECK_THAT(
      said.out,
      ContainsSubstring("  health     fails already, and an update is refused: units: "
                        "failed: old.service; see systemctl status\n") &&
          ContainsSubstring("Nothing was changed. `hostctl update --ignore-health` does it."));
  const nlohmann::json plan = Json(Hostctl(machine, {"update", "--plan", "--json"}));
  CHECK(plan["result"] == "available");
  CHECK(plan["refused"] == true);
  CHECK(plan["failing"][0]["parts"] == nlohmann::json::array({"units/old.service"}));
  CHECK(Hostctl(machine, {"update", "--plan", "--ignore-health"}).code == 0);

  said = Hostctl(machine, {"update"});
  CHECK(said.code == 10);
  CHECK(said.out == "");
  CHECK_THAT(said.err,
             ContainsSubstring("hostctl: 1.0.0 is not healthy now, so that a trial of 1.1.0 would "
                               "fail as well: units: failed: old.service") &&
                 ContainsSubstring("\nNothing was changed.\n") &&
                 ContainsSubstring("hostctl update --ignore-health"));
  CHECK(Hostctl(machine, {"status"}).code == 0);

  CHECK(Hostctl(machine, {"update", "--ignore-health"}).code == 4);
  CHECK_THAT(Hostctl(machine, {"status"}).out,
             ContainsSubstring("Known    failed before the update: units, units/old.service\n"));
  CHECK(machine.Boot() == "1.1.0");
  said = Hostctl(machine, {"status"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, ContainsSubstring("Known    failed before the last update: units, "
                                         "units/old.service\n"));
}

TEST_CASE("update stages, says so on standard output only, and exits with 4") {
  Machine machine;
  Said said = Hostctl(machine, {"update"});
  CHECK(said.code == 4);
  CHECK(said.out == "1.1.0 (index 2) is in slot B and boots next. Reboot to run it.\n");
  for (const char* phase : {"resolve", "check", "fetch", "write", "prove", "arm"})
    CHECK_THAT(said.err, ContainsSubstring(std::string(phase) + ": done"));
  CHECK(Hostctl(machine, {"status"}).code == 4);
  CHECK_THAT(Hostctl(machine, {"update"}).out, ContainsSubstring("already in slot B"));
  CHECK(machine.Boot() == "1.1.0");
  CHECK(Hostctl(machine, {"status"}).code == 0);
  CHECK(Hostctl(machine, {"update"}).code == 3);
}

TEST_CASE("update --reboot exits with 0 when the reboot has begun") {
  Machine machine;
  Said said = Hostctl(machine, {"update", "--reboot"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, ContainsSubstring("Rebooting now."));
  CHECK(machine.Boot() == "1.1.0");
}

TEST_CASE("with --quiet a verb prints neither results nor progress, and the exit code tells all") {
  Machine machine;
  Said said = Hostctl(machine, {"update", "--quiet"});
  CHECK(said.code == 4);
  CHECK(said.out + said.err == "");
}

TEST_CASE(
    "a release that fell back is refused with 12, told by status with 5, and retried on demand") {
  Machine machine;
  machine.unhealthy["1.1.0"] = "did not start within 30 s";
  CHECK(Hostctl(machine, {"update"}).code == 4);
  CHECK(machine.Boot() == "1.0.0");

  Said said = Hostctl(machine, {"status"});
  CHECK(said.code == 5);
  CHECK_THAT(said.out, ContainsSubstring("fell back") &&
                           ContainsSubstring("canary: did not start within 30 s"));
  CHECK_THAT(Hostctl(machine, {"status", "--why"}).out, ContainsSubstring("output of 1.1.0"));

  said = Hostctl(machine, {"update"});
  CHECK(said.code == 12);
  CHECK(said.out == "");
  CHECK_THAT(said.err, ContainsSubstring("hostctl: 1.1.0") &&
                           ContainsSubstring("\nNothing was changed.\n") &&
                           ContainsSubstring("hostctl update --retry"));
  CHECK(Hostctl(machine, {"update", "--check"}).code == 12);
  said = Hostctl(machine, {"update", "--check", "--json"});
  CHECK(said.code == 12);
  CHECK(Json(said)["result"] == "refused");

  machine.unhealthy.clear();
  CHECK(Hostctl(machine, {"update", "--retry"}).code == 4);
  CHECK(machine.Boot() == "1.1.0");
  said = Hostctl(machine, {"history"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out,
             ContainsSubstring("committed    1.1.0") && ContainsSubstring("fell back    1.1.0"));
  CHECK(Json(Hostctl(machine, {"history", "--json"}))["history"].size() == 2);
}

TEST_CASE("a release that never reached its gate is told so, with its boots") {
  Machine machine;
  machine.BreakRoot("1.1.0");
  CHECK(Hostctl(machine, {"update"}).code == 4);
  CHECK(machine.Boot() == "1.0.0");
  CHECK_THAT(Hostctl(machine, {"status", "--why"}).out,
             ContainsSubstring("did not reach its health gate in 3 boots"));
}

TEST_CASE("a failure before anything was changed says so, one after it says what is left") {
  Machine machine;
  machine.source.resolve_error = Error{Code::kNetwork, "http://releases.test/repo: HTTP 503"};
  Said said = Hostctl(machine, {"update"});
  CHECK(said.code == 8);
  CHECK_THAT(said.err, ContainsSubstring("hostctl: http://releases.test/repo: HTTP 503\n"
                                         "Nothing was changed.\n"));

  machine.disk.spoil_next_write = true;
  said = Hostctl(machine, {"update"});
  CHECK(said.code == 7);
  CHECK_THAT(said.err, ContainsSubstring("slot B is not bootable until an update succeeds."));
  CHECK_THAT(Hostctl(machine, {"status"}).out, ContainsSubstring("was interrupted in prove"));
}

TEST_CASE("an older release ends with 7 or 11, as the manual says, and tells what to do") {
  Machine machine;
  REQUIRE(Hostctl(machine, {"update"}).code == 4);
  machine.Boot();
  machine.source.Publish("1.5.0", 3000, {"kernel 5"});
  machine.source.SetIndex("1.5.0", 1);
  Said said = Hostctl(machine, {"update"});
  CHECK(said.code == 7);
  CHECK_THAT(said.err, ContainsSubstring("1.5.0 has index 1 in the order of releases, before 2") &&
                           ContainsSubstring("comes back with: hostctl rollback") &&
                           !ContainsSubstring("Compare the keys"));
  machine.source.Publish("1.6.0", 1500, {"kernel 6"});
  machine.source.SetIndex("1.6.0", 3);
  said = Hostctl(machine, {"update"});
  CHECK(said.code == 7);
  CHECK_THAT(said.err, ContainsSubstring("hostimage commit --timestamp"));
  // In order, but of a version that the loader would not start.
  machine.source.Publish("1.0.5", 4000, {"kernel 7"});
  machine.source.SetIndex("1.0.5", 4);
  said = Hostctl(machine, {"update"});
  CHECK(said.code == 11);
  CHECK_THAT(said.err, ContainsSubstring("1.0.5 is not newer than the running 1.1.0"));
  const auto meaning = [&](ExitCode code) {
    const auto command = std::ranges::find(Commands(), Verb::kUpdate, &Command::verb);
    return std::string(std::ranges::find(command->exits, code, &ExitUse::code)->meaning);
  };
  CHECK_THAT(meaning(ExitCode::kNotTrusted), ContainsSubstring("older than what this machine"));
  CHECK_THAT(meaning(ExitCode::kNotSupported), ContainsSubstring("not newer than the running"));
}

TEST_CASE("no space on the ESP names the files there that are not ours, after what is left") {
  Machine machine;
  machine.boot.esp.size = 1 << 20;
  machine.boot.esp.unknown = {{"EFI/old/vmlinuz", 24'100'000}};
  Said said = Hostctl(machine, {"update"});
  CHECK(said.code == 9);
  CHECK_THAT(said.err, ContainsSubstring("\nNothing was changed.\nFiles there that HostOS does not "
                                         "know: EFI/old/vmlinuz (24.1 MB)"));
}

TEST_CASE("update while another one runs exits with 6 and names it") {
  Machine machine;
  Result<Lock> lock = machine.state.TryLock("hostctl update", machine.clock.Now());
  REQUIRE(lock);
  Said said = Hostctl(machine, {"update"});
  CHECK(said.code == 6);
  CHECK_THAT(said.err, ContainsSubstring("hostctl update, pid "));
  CHECK_THAT(Hostctl(machine, {"status"}).out,
             ContainsSubstring("Update   busy: hostctl update, pid"));
}

TEST_CASE("update without a source of releases says which key to set, and exits with 2") {
  Machine machine;
  machine.config.url.clear();
  Result<Invocation> invocation = ParseCommandLine(std::vector<const char*>{"update"});
  std::ostringstream out, err;
  Console console{.out = out, .err = err};
  CHECK(RunVerb(*invocation, machine.world, machine.config, nullptr, console) == ExitCode::kUsage);
  CHECK_THAT(err.str(),
             ContainsSubstring("[source] url") && ContainsSubstring("/etc/hostctl/hostctl.toml"));
}

TEST_CASE("rollback goes back, waits for the reboot, and cancels what was only staged") {
  Machine machine;
  Said said = Hostctl(machine, {"rollback"});
  CHECK(said.code == 1);
  CHECK_THAT(said.err, ContainsSubstring("\nNothing was changed.\n"));

  CHECK(Hostctl(machine, {"update"}).code == 4);
  said = Hostctl(machine, {"rollback", "--reboot"});
  CHECK(said.code == 0);
  CHECK(said.out == "The staged update is cancelled; 1.0.0 stays.\n");
  CHECK(machine.Boot() == "1.0.0");

  CHECK(Hostctl(machine, {"update", "--retry"}).code == 4);
  CHECK(machine.Boot() == "1.1.0");
  said = Hostctl(machine, {"rollback"});
  CHECK(said.code == 4);
  CHECK(said.out == "1.0.0 in slot A boots next. Reboot to run it.\n");
  CHECK(Hostctl(machine, {"status"}).code == 4);
  CHECK(machine.Boot() == "1.0.0");
  CHECK_THAT(Hostctl(machine, {"status"}).out,
             ContainsSubstring("1.1.0") && ContainsSubstring("rolled back by the operator"));
}

TEST_CASE("health exits with 10 when a required check fails") {
  Machine machine;
  CHECK(Hostctl(machine, {"health"}).code == 0);
  machine.unhealthy["1.0.0"] = "no start";
  Said said = Hostctl(machine, {"health"});
  CHECK(said.code == 10);
  CHECK_THAT(said.out, ContainsSubstring("FAILED  canary"));
  CHECK(Json(Hostctl(machine, {"health", "--json"}))["healthy"] == false);
}

TEST_CASE("verify proves the slots, skips an empty one, and exits with 7 when one differs") {
  Machine machine;
  Said said = Hostctl(machine, {"verify"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, ContainsSubstring("* A  1.0.0") && ContainsSubstring("proven") &&
                           ContainsSubstring("B  -  empty"));
  CHECK(Hostctl(machine, {"verify", "--slot", "B"}).code == 1);

  CHECK(Hostctl(machine, {"update"}).code == 4);
  CHECK(Hostctl(machine, {"verify", "--slot", "B"}).code == 0);
  machine.disk.content[1].reset();
  said = Hostctl(machine, {"verify", "--json"});
  CHECK(said.code == 7);
  CHECK(Json(said)["slots"][0]["proven"] == true);
  CHECK(Json(said)["slots"][1]["proven"] == false);
  CHECK(Hostctl(machine, {"verify", "--slot", "A"}).code == 0);

  SECTION("also in its boot image") {
    machine.boot.images.begin()->second = Digest();
    said = Hostctl(machine, {"verify", "--slot", "A"});
    CHECK(said.code == 7);
    CHECK_THAT(said.out, ContainsSubstring("boot image: expected SHA-256"));
  }
}

TEST_CASE("status tells the last verification of a slot until the slot is written again") {
  Machine machine;
  const auto verified = [&](size_t slot) {
    return Json(Hostctl(machine, {"status", "--json"}))["slots"][slot]["verified"];
  };
  CHECK(verified(0).is_null());
  CHECK(Hostctl(machine, {"verify", "--slot", "A"}).code == 0);
  CHECK(verified(0)["proven"] == true);

  CHECK(Hostctl(machine, {"update"}).code == 4);
  machine.Boot();
  machine.disk.content[0].reset();
  CHECK(Hostctl(machine, {"verify"}).code == 7);
  CHECK(verified(0)["proven"] == false);
  CHECK(verified(1)["proven"] == true);
  CHECK(Hostctl(machine, {"status"}).code == 7);

  machine.source.Publish("1.2.0", 3000, {"kernel 3"});
  machine.disk.spoil_next_write = true;
  CHECK(Hostctl(machine, {"update"}).code == 7);
  CHECK(verified(0).is_null());
  CHECK_FALSE(ReadFile(machine.dir / "state/verified-a.json"));
  CHECK(verified(1)["proven"] == true);
}

TEST_CASE("a verb that changes something leaves metrics that say so, for anybody to read") {
  Machine machine;
  const std::string file = machine.dir / "run/metrics.prom";
  const auto says = [&](const std::string& line) {
    return ReadFile(file).value_or("").contains("\n" + line + "\n");
  };
  CHECK(Hostctl(machine, {"status"}).code == 0);
  CHECK_FALSE(ReadFile(file));

  const mode_t mask = ::umask(0077);
  CHECK(Hostctl(machine, {"verify"}).code == 0);
  ::umask(mask);
  CHECK(says("hostos_verify_ok{slot=\"A\"} 1"));
  struct stat status;
  REQUIRE(::stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0644);

  machine.disk.spoil_next_write = true;
  CHECK(Hostctl(machine, {"update"}).code == 7);
  CHECK(says("hostos_update_phase{phase=\"prove\"} 1"));
  CHECK(Hostctl(machine, {"update"}).code == 4);
  CHECK(says("hostos_update_phase{phase=\"armed\"} 1"));
  REQUIRE(machine.boot.Boot() == Slot::B);
  CHECK(Hostctl(machine, {"gate"}).code == 0);
  CHECK(says("hostos_update_phase{phase=\"armed\"} 0"));
  CHECK(says("hostos_update_last_outcome{outcome=\"committed\"} 1"));
  CHECK(says("hostos_index_floor 2"));
}

TEST_CASE("status goes on without a readable record, and says so") {
  Machine machine;
  REQUIRE(WriteFileAtomically(machine.dir / "state/record.json", "{"));
  Said said = Hostctl(machine, {"status"});
  CHECK(said.code == 1);
  CHECK_THAT(said.out, ContainsSubstring("HostOS 1.0.0") && ContainsSubstring("degraded") &&
                           ContainsSubstring("record.json"));
  CHECK(Json(Hostctl(machine, {"status", "--json"}))["problems"].size() == 1);
  CHECK(Hostctl(machine, {"history"}).code == 1);
}

TEST_CASE("a kept commit that cannot be read is a problem of status, and of no other verb") {
  Machine machine;
  const Digest commit = machine.source.Resolve("1.0.0", 0)->release.commit;
  const std::string file = machine.dir / "state/commits/" + commit.Hex() + ".commit";
  REQUIRE(RemoveFileDurably(file + "meta"));
  const Said said = Hostctl(machine, {"status"});
  CHECK(said.code == 1);
  CHECK_THAT(said.out, ContainsSubstring("HostOS 1.0.0") && ContainsSubstring("Problem") &&
                           ContainsSubstring(file + "meta"));
  CHECK(Json(Hostctl(machine, {"status", "--json"}))["problems"].size() == 1);
  CHECK(Hostctl(machine, {"verify", "--slot", "A"}).code == 7);
  CHECK(Hostctl(machine, {"update"}).code == 4);
  REQUIRE(machine.boot.Boot() == Slot::B);
  CHECK_THAT(Hostctl(machine, {"gate"}).err, StartsWith("1.1.0 is healthy"));
  CHECK(Hostctl(machine, {"rollback"}).code == 4);
}

TEST_CASE("what fails in the gate and decides nothing is logged, and fails no unit") {
  Machine machine;
  CHECK(Hostctl(machine, {"update"}).code == 4);
  REQUIRE(machine.boot.Boot() == Slot::B);
  {
    const FullDisk full;
    const Said said = Hostctl(machine, {"gate"});
    CHECK(said.code == 0);
    CHECK_THAT(said.err, ContainsSubstring("this decides nothing") &&
                             ContainsSubstring("record.json") &&
                             ContainsSubstring("1.1.0 is healthy"));
  }
  CHECK(machine.Boot() == "1.1.0");
  CHECK(machine.state.record().Load()->history.size() == 1);
}

TEST_CASE("the rescue says what it cannot use, and goes on") {
  Machine machine;
  BootEntry entry{.file = std::string(kRescueFile), .size = 1 << 20};
  entry.sort_key = "hostos-rescue";
  machine.boot.entries.push_back(entry);
  REQUIRE(machine.Recount().value());
  machine.BreakRoot("1.0.0");
  REQUIRE_FALSE(machine.boot.Boot());
  machine.boot.kept = Slot::B;
  REQUIRE(WriteFileAtomically(machine.dir / "state/record.json", "{"));
  const Digest commit = machine.source.Resolve("1.0.0", 0)->release.commit;
  const std::string file = machine.dir / "state/commits/" + commit.Hex() + ".commit";
  REQUIRE(WriteFileAtomically(file, "other bytes"));
  const Said said = Hostctl(machine, {"rescue"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, StartsWith("Neither slot has tries left"));
  CHECK_THAT(said.err, ContainsSubstring("going on without record: ") &&
                           ContainsSubstring("going on without " + file) &&
                           ContainsSubstring("written again with 1.0.0"));
  machine.boot.broken.clear();
  CHECK(machine.Boot() == "1.0.0");
}

TEST_CASE("status and the log of the gate tell a disk with the same partitions") {
  Machine machine;
  machine.boot.twins = {"sda"};
  const Said said = Hostctl(machine, {"status"});
  CHECK(said.code == 1);
  CHECK_THAT(said.out,
             ContainsSubstring("Problem  disk sda: ") && ContainsSubstring("Detach or erase sda"));
  CHECK_THAT(Hostctl(machine, {"gate"}).err, ContainsSubstring("disk sda: "));
}

TEST_CASE("with a broken configuration only status and the gate go on") {
  Machine machine;
  const Error problem{Code::kUsage, "/etc/hostctl/hostctl.toml:3: unknown key windw"};
  Said said = Hostctl(machine, {"status"}, &problem);
  CHECK(said.code == 2);
  CHECK_THAT(said.out, ContainsSubstring("hostctl.toml:3: unknown key windw"));
  said = Hostctl(machine, {"update"}, &problem);
  CHECK(said.code == 2);
  CHECK_THAT(said.err, StartsWith("hostctl: /etc/hostctl/hostctl.toml:3: unknown key windw\n"));
  CHECK(Hostctl(machine, {"gate"}, &problem).code == 0);  // no trial: nothing to decide
}

TEST_CASE("a trial that cannot read its configuration fails with that as the reason") {
  Machine machine;
  const Error problem{Code::kUsage, "/etc/hostctl/hostctl.toml:3: unknown key windw"};
  CHECK(Hostctl(machine, {"update"}).code == 4);
  REQUIRE(machine.boot.Boot() == Slot::B);
  Said said = Hostctl(machine, {"gate"}, &problem);
  CHECK(said.code == 10);
  CHECK_THAT(said.err, ContainsSubstring("1.1.0 is not healthy: config: ") &&
                           ContainsSubstring("hostctl.toml:3: unknown key windw") &&
                           ContainsSubstring("rebooting into the other slot"));
  CHECK(machine.Boot() == "1.0.0");
  CHECK_THAT(machine.ReadStatus().fallback.value().reason, ContainsSubstring("unknown key windw"));
}

TEST_CASE("boot selftest waits for a reboot, and status tells its outcome") {
  Machine machine;
  Said said = Hostctl(machine, {"boot", "selftest"});
  CHECK(said.code == 4);
  CHECK_THAT(said.out, StartsWith("The next 3 boots test the loader: reboot"));
  CHECK(Hostctl(machine, {"update"}).code == 6);
  CHECK(Hostctl(machine, {"boot", "selftest", "--cancel"}).code == 0);
  CHECK(machine.boot.Read()->selftest.empty());

  machine.boot.loader_counts = false;
  said = Hostctl(machine, {"boot", "selftest", "--reboot"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, ContainsSubstring("Rebooting now."));
  machine.Boot();
  said = Hostctl(machine, {"status"});
  CHECK(said.code == 10);
  CHECK_THAT(said.out, ContainsSubstring("\nLoader   self-test failed ") &&
                           ContainsSubstring("the loader does not count: expected "
                                             "hostos-selftest+1-1.conf, found "
                                             "hostos-selftest+2.conf\n"));

  machine.boot.loader_counts = true;
  CHECK(Hostctl(machine, {"boot", "selftest"}).code == 4);
  machine.Boot();
  said = Hostctl(machine, {"status"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, ContainsSubstring("\nLoader   self-test passed "));

  machine.boot.preferences = {{"EFI variable LoaderEntryDefault", "hostos*"}};
  said = Hostctl(machine, {"boot", "selftest"});
  CHECK(said.code == 11);
  CHECK_THAT(said.err, ContainsSubstring("LoaderEntryDefault") &&
                           ContainsSubstring("\nNothing was changed.\n"));
}

TEST_CASE("the gate logs each boot of a self-test") {
  Machine machine;
  REQUIRE(machine.BeginSelfTest());
  REQUIRE(machine.boot.Boot() == Slot::A);
  Record record = machine.state.record().Load().value();
  record.selftest->boot_id = "the one before";
  REQUIRE(machine.state.record().Save(record));
  const Said said = Hostctl(machine, {"gate"});
  CHECK(said.code == 0);
  CHECK(said.err ==
        "self-test of the boot loader: in progress: boot 1 of 3 was as expected, rebooting\n"
        "1.0.0 is not on trial: nothing to decide\n");
}

TEST_CASE("the gate logs what became of the rescue, and decides nothing by it") {
  Machine machine;
  machine.source.BringRescue("1.1.0");
  REQUIRE(machine.Update());
  // Its root lacks what it should bring.
  machine.before_round = [&] { std::filesystem::remove(machine.world.rescue_file); };
  REQUIRE(machine.Boot() == "1.1.0");
  Said said = Hostctl(machine, {"gate"});
  CHECK(said.code == 0);
  CHECK_THAT(said.err, ContainsSubstring("the rescue on the ESP stays as it was") &&
                           ContainsSubstring("rescue.efi"));
  said = Hostctl(machine, {"status"});
  CHECK(said.code == 10);
  CHECK_THAT(said.out, ContainsSubstring("expected the rescue of 1.1.0 on the ESP, found none"));

  REQUIRE(WriteFileAtomically(machine.world.rescue_file, "rescue 1.1.0"));
  said = Hostctl(machine, {"gate"});
  CHECK(said.code == 0);
  CHECK_THAT(said.err, ContainsSubstring("the rescue on the ESP is that of 1.1.0 now"));
  CHECK(Hostctl(machine, {"status"}).code == 0);
  said = Hostctl(machine, {"verify"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, ContainsSubstring("rescue  1.1.0  proven: as signed with 1.1.0"));
}

TEST_CASE("the gate logs one line per decision") {
  Machine machine;
  Said said = Hostctl(machine, {"gate"});
  CHECK(said.code == 0);
  CHECK(said.err == "1.0.0 is not on trial: nothing to decide\n");
  CHECK(Hostctl(machine, {"update"}).code == 4);
  REQUIRE(machine.boot.Boot() == Slot::B);
  said = Hostctl(machine, {"gate"});
  CHECK(said.code == 0);
  CHECK_THAT(said.err, StartsWith("1.1.0 is healthy, steady for 60 s: committed"));
}

TEST_CASE("plain HTTP is a source only where the configuration says so") {
  Machine machine;
  machine.config.url = "http://me:s3cret@releases.test/repo";
  const auto run = [&] {
    const Result<Invocation> invocation =
        ParseCommandLine(std::vector<const char*>{"update", "--check"});
    std::ostringstream out, err;
    Console console{.out = out, .err = err};
    const ExitCode code = RunVerb(*invocation, machine.world, machine.config, nullptr, console);
    return std::pair(code, err.str());
  };
  CHECK(run().first == ExitCode::kUsage);
  CHECK_THAT(run().second,
             StartsWith("hostctl: [source] url: expected https://, found http://***@"));
  CHECK(machine.source.resolved_at == 0);
  machine.config.allow_http = true;
  machine.config.token_file = "/etc/hostctl/token";
  CHECK(run().first == ExitCode::kUsage);
  CHECK_THAT(run().second, StartsWith("hostctl: [source] url: expected https:// for a token, found "
                                      "http://***@releases.test/repo"));
  CHECK(machine.source.resolved_at == 0);
  machine.config.token_file = "";
  CHECK(run().first == ExitCode::kDone);
}

TEST_CASE("a machine that is no HostOS is said to be none, with 11, by every verb that needs one") {
  class NoHostOs : public FakeBootControl {
   public:
    using FakeBootControl::FakeBootControl;
    Result<BootState> Read() override {
      return Fail(Code::kNotSupported, "/: expected a dm-verity device under it, found none");
    }
  };
  Machine machine;
  NoHostOs boot(machine.source.Resolve("1.0.0", 0)->release);
  World world{machine.source,       machine.disk,        boot,
              machine.world.health, machine.world.power, machine.clock,
              machine.black_box,    machine.floor,       machine.state};
  machine.config.url = "https://releases.test/repo";
  for (const char* verb : {"status", "update", "rollback", "verify", "gate"}) {
    Result<Invocation> invocation = ParseCommandLine(std::vector<const char*>{verb});
    std::ostringstream out, err;
    Console console{.out = out, .err = err};
    CHECK(RunVerb(*invocation, world, machine.config, nullptr, console) == ExitCode::kNotSupported);
    CHECK_THAT(err.str(), StartsWith("hostctl: not a HostOS system: /: expected a dm-verity"));
    CHECK(out.str() == "");
  }
}

}  // namespace
}  // namespace hostos

// The verbs that change which release a machine runs: update and rollback.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/hostctl/run_verb.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

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

TEST_CASE(
    "an update over a metered network is refused with 13, if so configured, and not for once") {
  Machine machine;
  machine.config.refuse_metered = true;
  std::optional<bool> metered = true;
  machine.world.metering = [&] { return Metering{metered, "NetworkManager guesses so"}; };
  Said said = Hostctl(machine, {"update", "--plan"});
  CHECK(said.code == 13);
  CHECK_THAT(
      said.out,
      ContainsSubstring(
          "  network    metered (NetworkManager guesses so), and an update is refused\n") &&
          ContainsSubstring("Nothing was changed. `hostctl update --allow-metered` does it."));
  CHECK(Json(Hostctl(machine, {"update", "--plan", "--json"}))["network"] ==
        nlohmann::json{
            {"metered", true}, {"detail", "NetworkManager guesses so"}, {"refused", true}});
  said = Hostctl(machine, {"update", "--plan", "--allow-metered"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, ContainsSubstring("(NetworkManager guesses so), and used this once\n"));
  CHECK(Hostctl(machine, {"update", "--check"}).code == 0);

  said = Hostctl(machine, {"update"});
  CHECK(said.code == 13);
  CHECK(said.out == "");
  CHECK_THAT(said.err, ContainsSubstring("hostctl: not now: the network is metered "
                                         "(NetworkManager guesses so), and 1.1.0 needs") &&
                           ContainsSubstring("\nNothing was changed.\n") &&
                           ContainsSubstring("hostctl update --allow-metered"));
  CHECK(machine.source.transfers("kernel 2") == 0);

  metered.reset();
  said = Hostctl(machine, {"update", "--plan"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, ContainsSubstring("  network    not known to be metered, so not refused: "));
  CHECK(Json(Hostctl(machine, {"update", "--plan", "--json"}))["network"]["metered"].is_null());
  metered = true;
  SECTION("allowed for once") {
    CHECK(Hostctl(machine, {"update", "--allow-metered"}).code == 4);
  }
  SECTION("a directory is no network") {
    std::filesystem::create_directories(machine.dir / "repo/metadata");
    const std::string place = machine.dir / "repo";
    CHECK(Hostctl(machine, {"update", "--from", place.c_str()}).code == 4);
  }
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

}  // namespace

}  // namespace hostos

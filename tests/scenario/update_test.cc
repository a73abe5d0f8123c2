// Updates that go well, and how failed ones get back on track.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>

#include "tests/scenario/machine.h"
#include "tests/text_file.h"

using namespace hostos;

namespace {

// The result of the check "units" when these units fail.
CheckResult Units(const std::vector<std::string>& failing) {
  CheckResult check{.name = "units", .detail = "failed: ", .parts = failing};
  for (const std::string& unit : failing)
    check.detail += (&unit == failing.data() ? "" : ", ") + unit;
  return check;
}

}  // namespace

TEST_CASE("a machine updates itself into the other slot and keeps what is healthy") {
  Machine machine;
  const UpdatePlan plan = machine.Update().value();
  CHECK(plan.slot == Slot::B);
  CHECK(plan.fetch.objects == 2);
  CHECK(plan.packages.size() == 1);
  CHECK(machine.running() == "1.0.0");
  CHECK(machine.ReadStatus().slots[1].condition == SlotCondition::kArmed);
  CHECK(machine.ReadStatus().slots[1].boots_next);

  CHECK(machine.Boot() == "1.1.0");
  const Status status = machine.ReadStatus();
  CHECK(status.slots[1].condition == SlotCondition::kBlessed);
  CHECK(status.slots[0].condition == SlotCondition::kFactory);
  CHECK_FALSE(status.update);
  CHECK_FALSE(status.fallback);
  CHECK(machine.source.staging_empty());
  CHECK(machine.state.record().Load().value().time_floor == 2000);
}

TEST_CASE("an update verifies what runs once") {
  Machine machine;
  int verified = 0;
  // The machine's own rounds verify what runs, too.
  machine.before_round = [&] { verified = machine.source.verified; };
  REQUIRE(machine.Update());
  CHECK(verified == 1);
}

TEST_CASE("what fails already is said before anything is changed, and refused") {
  Machine machine;
  machine.always = {Units({"units/old.service"})};
  const int steps = machine.steps();
  const Result<UpdatePlan> update = machine.Update();
  REQUIRE_FALSE(update);
  CHECK(update.error().code == Code::kUnhealthy);
  CHECK(update.error().message.contains("units: failed: units/old.service"));
  CHECK(machine.steps() == steps);
  CHECK_FALSE(machine.state.record().Load().value().update);
  CHECK(machine.source.staging_empty());

  // A fault outside the machine is excused in the trial.
  machine.always = {{.name = "required/10-dns", .detail = "no route", .environment = true}};
  CHECK(machine.Update());
}

TEST_CASE("what failed before an update that was asked for is known from then on") {
  Machine machine;
  machine.always = {Units({"units/old.service"})};
  REQUIRE(machine.Update({.ignore_health = true}));
  CHECK(machine.ReadStatus().known == std::vector<std::string>{"units", "units/old.service"});
  SECTION("in its trial, its probation, and at a planned reboot") {
    CHECK(machine.Boot() == "1.1.0");
    CHECK(machine.ReadStatus().known == std::vector<std::string>{"units", "units/old.service"});
    CHECK(machine.WatchProbation().value().end == ProbationEnd::kPassed);
    REQUIRE(machine.Recount().value());
    CHECK(machine.Boot() == "1.1.0");
    CHECK_FALSE(machine.ReadStatus().degraded);
    CHECK_FALSE(machine.ReadStatus().fallback);
  }
  SECTION("and what fails since is not") {
    machine.before_round = [&] {
      machine.always = {machine.running() == "1.1.0"
                            ? Units({"units/new.service", "units/old.service"})
                            : Units({"units/old.service"})};
    };
    CHECK(machine.Boot() == "1.0.0");
    CHECK(machine.ReadStatus().fallback->reason.contains(
        "failed: units/new.service, units/old.service; failed before the update too: "
        "units/old.service"));
  }
}

TEST_CASE("updates go from slot to slot, release after release") {
  Machine machine;
  for (int minor = 1; minor <= 4; minor++) {
    const std::string version = std::format("1.{}.0", minor);
    machine.source.Publish(version, 2000 + static_cast<uint64_t>(minor), {"kernel " + version});
    CHECK(machine.Update().value().slot == (minor % 2 ? Slot::B : Slot::A));
    CHECK(machine.Boot() == version);
  }
  CHECK(machine.state.record().Load().value().history.size() == 4);
  CHECK(machine.state.Commits().commits.size() == 2);
}

TEST_CASE("running the newest release is nothing to do") {
  Machine machine;
  REQUIRE(machine.Update());
  machine.Boot();
  CHECK(machine.Update().error().code == Code::kNothingToDo);
}

TEST_CASE("a staged update is not done twice, and may be superseded") {
  Machine machine;
  REQUIRE(machine.Update());
  const int writes = machine.disk.writes;
  CHECK(machine.Update().value().staged);
  CHECK(machine.disk.writes == writes);
  machine.source.Publish("1.2.0", 3000, {"kernel 3", "bash"});
  CHECK_FALSE(machine.Update().value().staged);
  CHECK(machine.Boot() == "1.2.0");
}

TEST_CASE("what an update moved over the network is counted over all its runs, and kept") {
  Machine machine;
  machine.source.Publish("1.2.0", 3000, {"kernel 3", "containerd 3", "bash"});
  machine.source.withheld = "containerd 3";
  CHECK(machine.Update().error().code == Code::kNetwork);
  CHECK(machine.ReadStatus().traffic == Traffic{.bytes = 1000, .requests = 1});
  machine.source.withheld.clear();
  REQUIRE(machine.Update());
  const Traffic both{.bytes = 2000, .requests = 2};
  CHECK(machine.ReadStatus().update->traffic == both);
  SECTION("with a release that is kept") {
    CHECK(machine.Boot() == "1.2.0");
  }
  SECTION("with one that fell back, and its own is counted from nothing the next time") {
    machine.unhealthy["1.2.0"] = "not serving";
    CHECK(machine.Boot() == "1.0.0");
  }
  const std::vector<HistoryEntry> history = machine.state.record().Load().value().history;
  REQUIRE(history.size() == 1);
  CHECK(history[0].traffic == both);
  CHECK(machine.ReadStatus().traffic == both);
  machine.source.Publish("1.3.0", 4000, {"kernel 4", "bash"});
  REQUIRE(machine.Update());
  CHECK(machine.ReadStatus().traffic == Traffic{.bytes = 1000, .requests = 1});
}

TEST_CASE("a server that withholds an object takes nothing from the other slot") {
  Machine machine;
  SECTION("where a good release is: the way back is there, and taken") {
    REQUIRE(machine.Update());
    REQUIRE(machine.Boot() == "1.1.0");
    machine.source.Publish("1.2.0", 3000, {"kernel 3", "bash"});
    machine.source.withheld = "kernel 3";
    for (int i = 0; i < 3; i++) CHECK(machine.Update().error().code == Code::kNetwork);
    CHECK(machine.state.Commits().commits.size() == 2);  // `hostctl verify` proves both slots
    CHECK(machine.Boot() == "1.1.0");
    CHECK(machine.Rollback().value().version == "1.0.0");
    CHECK(machine.Boot() == "1.0.0");
  }
  SECTION("where a release is staged: it boots, and is tried") {
    REQUIRE(machine.Update());
    machine.source.Publish("1.2.0", 3000, {"kernel 3", "bash"});
    machine.source.withheld = "kernel 3";
    CHECK(machine.Update().error().code == Code::kNetwork);
    CHECK(machine.ReadStatus().slots[1].boots_next);
    CHECK(machine.ReadStatus().update->phase == Phase::kArmed);
    SECTION("and kept") {
      CHECK(machine.Boot() == "1.1.0");
    }
    SECTION("and falls back") {
      machine.unhealthy["1.1.0"] = "not serving";
      CHECK(machine.Boot() == "1.0.0");
      const Record record = machine.state.record().Load().value();
      REQUIRE(record.denied.size() == 1);
      CHECK(record.denied.front().release.version == "1.1.0");
      CHECK(record.denied.front().reason.contains("not serving"));
    }
  }
  machine.source.withheld.clear();
  machine.unhealthy.clear();
  REQUIRE(machine.Update({.retry = true}));
  CHECK(machine.Boot() == "1.2.0");
}

TEST_CASE("a medium that does not hold what was written is found out before anything is armed") {
  Machine machine;
  machine.disk.spoil_next_write = true;
  Result<UpdatePlan> update = machine.Update();
  CHECK(update.error().code == Code::kNotTrusted);
  CHECK(update.error().message.starts_with("prove: slot B: expected root hash"));
  CHECK(machine.Boot() == "1.0.0");
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.1.0");
  CHECK(machine.source.transfers("kernel 2") == 1);
}

TEST_CASE("of a write that fails the first cause is told, which may be its sender's") {
  Machine machine;
  const Error pipe{Code::kFailed, "write: Broken pipe"};
  machine.source.sent = std::unexpected(pipe);
  SECTION("the disk's") {
    const Error error = GENERATE(Error{Code::kFailed, "/dev/vda4: Input/output error"},
                                 Error{Code::kNotTrusted, "hash area: expected 4096 bytes"});
    machine.disk.write_error = error;
    const Error told = machine.Update().error();
    CHECK(told.code == error.code);
    CHECK(told.message == "write: " + error.message);
  }
  SECTION("the sender's") {
    machine.disk.write_error = Error{Code::kNetwork, "image: expected 4096 bytes, found 7"};
    machine.source.sent = Fail(Code::kNotTrusted, "an object is damaged");
    const Error told = machine.Update().error();
    CHECK(told.code == Code::kNotTrusted);
    CHECK(told.message == "write: an object is damaged");
  }
  SECTION("nobody's but the stream's") {
    machine.disk.write_error = Error{Code::kNetwork, "image: expected 4096 bytes, found 7"};
    machine.source.sent = {};
    CHECK(machine.Update().error().message == "write: image: expected 4096 bytes, found 7");
  }
  REQUIRE(machine.Boot() == "1.0.0");
  REQUIRE(machine.Update());
}

TEST_CASE("a node without room for its /etc lives on the one before it, and says so") {
  Machine machine;
  machine.no_room_for_etc = true;
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.1.0");
  CHECK_FALSE(machine.boot.Read()->on_trial());
  CHECK(machine.ReadStatus().etc_in_memory);
  CHECK(PlanUpdate(machine.world, {}).error().code == Code::kNothingToDo);
  // The upper that it uses stays through every update, until there is another one.
  for (const char* version : {"1.2.0", "1.3.0"}) {
    machine.source.Publish(version, 3000, {"kernel 3"});
    REQUIRE(machine.Update().value().state_needed.inodes > 1024);
    CHECK(machine.Boot() == version);
    CHECK(machine.ReadStatus().etc_in_memory);
  }
  CHECK(std::filesystem::exists(machine.Etc("1.0.0") + "/machine-id"));
  machine.no_room_for_etc = false;
  CHECK(machine.Boot() == "1.3.0");
  CHECK_FALSE(machine.ReadStatus().etc_in_memory);
  CHECK(std::filesystem::exists(machine.Etc("1.3.0") + "/machine-id"));
}

TEST_CASE("a plan says which CVEs the update fixes, and holds whatever is the matter with that") {
  Machine machine;
  const auto changes = [](const std::string& release, const std::string& version) {
    return ReleaseChanges{
        .version = release,
        .since = "2024-01-01",
        .sources = {{.name = "linux",
                     .version = version,
                     .reaches = "6.12.100-1",
                     .fixes = {{"6.12.118-1", "2026-11-28", "high", {"CVE-2026-99272"}},
                               {"6.12.117-1", "2026-11-20", "high", {"CVE-2026-9000"}}}}}};
  };
  const std::string running = machine.dir / "changes.json";
  machine.world.changes_file = running;
  WriteText(running, WriteChanges(changes("1.0.0", "6.12.117-1")));
  machine.source.SetChanges("1.1.0", changes("1.1.0", "6.12.118-1"));
  const auto plan = [&] { return PlanUpdate(machine.world, {}).value(); };
  {
    const UpdatePlan good = plan();
    REQUIRE(good.cves);
    REQUIRE(good.cves->fixed.size() == 1);
    CHECK(good.cves->fixed[0].cves == std::vector<std::string>{"CVE-2026-99272"});
  }
  const auto problem = [&] {
    const UpdatePlan other = plan();
    CHECK(other.packages.size() == 1);
    REQUIRE_FALSE(other.cves);
    return other.cves.error().message;
  };
  machine.source.SetChanges("1.1.0", Fail(Code::kNetwork, "HTTP 503"));
  CHECK(problem() == "HTTP 503");
  machine.source.SetChanges("1.1.0", changes("1.2.0", "6.12.118-1"));
  CHECK(problem().contains("expected that of 1.1.0, found that of 1.2.0"));
  machine.source.SetChanges("1.1.0", changes("1.1.0", "6.12.118-1"));
  WriteText(running, WriteChanges(changes("1.0.1", "6.12.117-1")));
  CHECK(problem().contains("expected that of 1.0.0, found that of 1.0.1"));
  WriteText(running, "{");
  CHECK(problem().starts_with(running + ": "));
  WriteText(running, std::string(kMaxChangesBytes + 1, ' '));
  CHECK(problem().starts_with(running + ": "));
  std::filesystem::remove(running);
  CHECK(problem() == "what runs does not say which versions its packages fixed");
  WriteText(running, WriteChanges(changes("1.0.0", "6.12.117-1")));
  machine.source.Publish("1.2.0", 3000, {"a"});
  CHECK(problem() == "1.2.0 does not say what its packages fixed");
}

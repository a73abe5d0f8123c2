// The self-test of the boot loader: three boots of the running release, by good and bad loaders.
#include <catch2/catch_test_macros.hpp>

#include "tests/scenario/full_disk.h"
#include "tests/scenario/machine.h"
#include "updater/base/atomic_file.h"

using namespace hostos;

namespace {

SelfTest Last(Machine& machine) {
  return machine.ReadStatus().selftest.value_or(SelfTest{});
}

// Nothing of the test is left on the ESP, and the release that ran before runs and boots next.
void CheckOver(Machine& machine, const std::string& version = "1.0.0") {
  CHECK_FALSE(machine.state.record().Load().value().SelfTesting());
  const BootState boot = machine.boot.Read().value();
  CHECK(boot.selftest.empty());
  CHECK(boot.next() == boot.staying());
  CHECK_FALSE(boot.on_trial());
  CHECK(machine.running() == version);
}

void CheckFailed(Machine& machine, int boots, const std::string& reason) {
  const int before = machine.boots();
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.boots() == before + boots);
  CHECK(Last(machine).state == SelfTestState::kFailed);
  CHECK(Last(machine).reason == reason);
  CheckOver(machine);
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.boots() == before + boots + 1);
}

// The name of the usual entry.
std::string Usual(Machine& machine) {
  return machine.boot.Read()->EntryOf(Slot::A)->file;
}

}  // namespace

TEST_CASE("a self-test passes in three boots of what runs, and judges no health in them") {
  Machine machine;
  machine.unhealthy["1.0.0"] = "containerd is down";
  REQUIRE(machine.BeginSelfTest());
  CHECK(machine.ReadStatus().slots[0].boots_next);
  CHECK(machine.ReadStatus().slots[0].condition == SlotCondition::kFactory);
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.boots() == 4);
  CHECK(Last(machine).state == SelfTestState::kPassed);
  CHECK(Last(machine).boots == 3);
  CheckOver(machine);
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.boots() == 5);
}

TEST_CASE("a self-test leaves the other slot's release, and updates that follow, as they were") {
  Machine machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  REQUIRE(machine.BeginSelfTest());
  CHECK_FALSE(machine.Recount().value());  // the test's reboots are not planned reboots
  CHECK(machine.Boot() == "1.1.0");
  CHECK(Last(machine).state == SelfTestState::kPassed);
  CheckOver(machine, "1.1.0");
  CHECK(machine.Recount().value());
  CHECK(machine.Boot() == "1.1.0");
  machine.source.Publish("1.2.0", 3000, {"kernel 3"});
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.2.0");
}

TEST_CASE("a reboot between two boots of a self-test is never counted again") {
  Machine machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  REQUIRE(machine.BeginSelfTest());
  for (int boot = 0; boot < 2; boot++) {
    REQUIRE(machine.boot.Boot() == Slot::B);
    CHECK_FALSE(machine.Recount().value());
  }
}

TEST_CASE("a loader that does not count fails its self-test in the first boot") {
  Machine machine;
  REQUIRE(machine.BeginSelfTest());
  machine.boot.loader_counts = false;
  CheckFailed(machine, 1,
              "boot 1 of 3: the loader does not count: expected hostos-selftest+1-1.conf, found "
              "hostos-selftest+2.conf");
}

TEST_CASE("a loader that does not fall back fails its self-test in the last boot") {
  Machine machine;
  REQUIRE(machine.BeginSelfTest());
  machine.boot.preferences = {{"\"default\" in loader/loader.conf", "hostos-selftest*"}};
  CheckFailed(machine, 3,
              std::format("boot 3 of 3: the loader does not fall back: expected {}, found "
                          "hostos-selftest+0-3.conf",
                          Usual(machine)));
}

TEST_CASE("a boot that was not by the self-test's entry fails it, and says by which") {
  Machine machine;
  REQUIRE(machine.BeginSelfTest());
  const std::string usual = Usual(machine);
  SECTION("somebody chose in the menu") {
    machine.boot.preferences = {{"the menu", usual}};
  }
  SECTION("its entry is gone") {
    REQUIRE(machine.boot.RemoveSelfTest());
  }
  CheckFailed(machine, 1, "boot 1 of 3: expected hostos-selftest+1-1.conf, found " + usual);
}

TEST_CASE("a boot that was lost between two gates fails a self-test") {
  Machine machine;
  REQUIRE(machine.BeginSelfTest());
  REQUIRE(machine.boot.Boot() == Slot::A);  // the power goes before its gate
  CheckFailed(machine, 1,
              "boot 1 of 3: expected hostos-selftest+1-1.conf, found hostos-selftest+0-2.conf");
}

TEST_CASE("two names of a self-test's entry, as a firmware's rename may leave them, fail it") {
  Machine machine;
  REQUIRE(machine.BeginSelfTest());
  const BootEntry before = machine.boot.Read()->entries.front();
  machine.boot.boots = [&](Slot, const Digest&) {
    if (machine.boots() == 1) machine.boot.entries.push_back(before);
    return true;
  };
  CheckFailed(machine, 1,
              "boot 1 of 3: the loader does not count: expected hostos-selftest+1-1.conf, found "
              "hostos-selftest+2.conf");
}

TEST_CASE("an update waits for a self-test, and a self-test for an update") {
  Machine machine;
  REQUIRE(machine.BeginSelfTest());
  CHECK(machine.Update().error().code == Code::kBusy);
  REQUIRE(CancelSelfTest(machine.world));
  CheckOver(machine);
  CHECK_FALSE(machine.ReadStatus().selftest);
  REQUIRE(machine.Update());
  CHECK(machine.BeginSelfTest().error().code == Code::kBusy);
  REQUIRE(machine.boot.Boot() == Slot::B);
  CHECK(machine.BeginSelfTest().error().code == Code::kBusy);
  CHECK(machine.Boot() == "1.1.0");
  CHECK(machine.BeginSelfTest());
}

TEST_CASE("a rollback ends a self-test") {
  Machine machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  REQUIRE(machine.BeginSelfTest());
  REQUIRE(machine.Rollback());
  CHECK(machine.boot.Read()->selftest.empty());
  CHECK_FALSE(machine.ReadStatus().selftest);
  const int boots = machine.boots();
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.boots() == boots + 1);
}

TEST_CASE("what is left of a self-test that nobody knows of is removed by the next gate") {
  Machine machine;
  SECTION("it was cut short before its record") {
    REQUIRE(machine.boot.AddSelfTest());
  }
  SECTION("its record was lost") {
    REQUIRE(machine.BeginSelfTest());
    REQUIRE(RemoveFileDurably(machine.state.record().path()));
  }
  SECTION("its record cannot be understood") {
    REQUIRE(machine.BeginSelfTest());
    REQUIRE(WriteFileAtomically(machine.state.record().path(), "{"));
  }
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.boots() == 2);
  CheckOver(machine);
}

TEST_CASE("a self-test whose boot cannot be recorded ends without another reboot") {
  Machine machine;
  REQUIRE(machine.BeginSelfTest());
  {
    const FullDisk full;
    machine.Boot();
  }
  CHECK_FALSE(machine.gate_problems.empty());
  CHECK(machine.boots() == 2);
  CHECK(machine.boot.Read()->selftest.empty());
  CheckFailed(machine, 1,
              "boot 1 of 3: expected hostos-selftest+1-1.conf, found " + Usual(machine));
}

TEST_CASE("an ESP that is read-only refuses a self-test, and ends one that is running") {
  Machine machine;
  machine.boot.esp_read_only = true;
  CHECK_FALSE(machine.BeginSelfTest());
  CHECK_FALSE(machine.ReadStatus().selftest);
  machine.boot.esp_read_only = false;
  REQUIRE(machine.BeginSelfTest());
  machine.boot.esp_read_only = true;
  machine.Boot();
  CHECK_FALSE(machine.gate_problems.empty());  // it cannot remove the entry
  CHECK(Last(machine).reason.contains("the loader does not count"));
  machine.boot.esp_read_only = false;
  CHECK(machine.Boot() == "1.0.0");
  CheckOver(machine);
}

TEST_CASE("power cut at every durable step of a self-test: what ran runs, and the test is over") {
  auto live = [](Machine& machine) {
    machine.BeginSelfTest().value();
    machine.Boot();
  };
  Machine whole;
  live(whole);
  REQUIRE(whole.steps() == 2);
  for (int step = 1; step <= whole.steps(); step++) {
    INFO("cut at step " << step);
    Machine machine;
    machine.CutPowerAt(step);
    REQUIRE_THROWS_AS(live(machine), PowerCut);
    CHECK(machine.Boot() == "1.0.0");
    CheckOver(machine);
    live(machine);
    CHECK(Last(machine).state == SelfTestState::kPassed);
    CheckOver(machine);
  }
}

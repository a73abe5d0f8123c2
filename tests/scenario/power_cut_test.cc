// Power cuts at every durable step of an update and of a trial, with every FAT rename torn in every
// way. Whatever boots is a complete root (Machine::Boot checks that), the update converges when it
// is run again, and no object is fetched twice.
#include <catch2/catch_test_macros.hpp>

#include "tests/scenario/machine.h"

using namespace hostos;

namespace {

// Runs the update again, as an operator would, and boots what it armed.
void Converge(Machine& machine) {
  Result<UpdatePlan> update = machine.Update();
  if (!update) REQUIRE(update.error().code == Code::kNothingToDo);
  CHECK(machine.Boot() == "1.1.0");
  CHECK(machine.ReadStatus().slots[1].condition == SlotCondition::kBlessed);
  CHECK(machine.source.transfers("kernel 2") == 1);
  CHECK(machine.source.transfers("containerd 2") == 1);
  CHECK(machine.state.record().Load().value().time_floor == 2000);
}

int StepsOfUpdate() {
  Machine machine;
  const int before = machine.steps();
  REQUIRE(machine.Update());
  return machine.steps() - before;
}

}  // namespace

TEST_CASE("power cut before every durable step of an update: old or new boots, and it converges") {
  const int steps = StepsOfUpdate();
  REQUIRE(steps >= 8);
  for (int step = 1; step <= steps; step++) {
    INFO("cut at step " << step << " of " << steps);
    Machine machine;
    machine.CutPowerAt(step);
    REQUIRE_THROWS_AS(machine.Update(), PowerCut);
    const std::string running = machine.Boot();
    REQUIRE((running == "1.0.0" || running == "1.1.0"));
    Converge(machine);
  }
}

TEST_CASE("power cut during every change of the boot entries, torn in every way") {
  using Cut = FakeBootControl::Cut;
  for (Cut cut : {Cut::kLost, Cut::kDone, Cut::kBothNames, Cut::kNeitherName}) {
    for (size_t step = 1;; step++) {
      INFO("cut " << static_cast<int>(cut) << " at boot step " << step);
      Machine machine;
      machine.boot.CutPowerAt(step, cut);
      Result<UpdatePlan> update = machine.Update();
      if (update && machine.boot.powered()) {
        CHECK(step > 3);
        break;
      }
      const std::string running = machine.Boot();
      REQUIRE((running == "1.0.0" || running == "1.1.0"));
      Converge(machine);
    }
  }
}

TEST_CASE("what an update that was cut off left on the ESP is gone after the next boot") {
  size_t with_leftovers = 0;
  for (size_t step = 1;; step++) {
    Machine machine;
    const uint64_t free = machine.boot.Read()->esp.free;
    machine.boot.CutPowerAt(step, FakeBootControl::Cut::kDone);
    if (machine.Update()) break;
    REQUIRE(machine.boot.Boot());
    const BootState found = machine.boot.Read().value();
    with_leftovers += found.esp.free < free && found.entries.size() == 1;
    if (machine.Boot() == "1.0.0") CHECK(machine.boot.Read()->esp.free == free);
  }
  CHECK(with_leftovers == 1);
}

TEST_CASE("power cut at every durable step of a commit: the healthy release is kept") {
  Machine whole;
  REQUIRE(whole.Update());
  const int before = whole.steps();
  whole.Boot();
  const int steps = whole.steps() - before;
  REQUIRE(steps > 1);
  for (int step = 1; step <= steps; step++) {
    INFO("cut at step " << step << " of " << steps);
    Machine machine;
    REQUIRE(machine.Update());
    machine.CutPowerAt(step);
    REQUIRE_THROWS_AS(machine.Boot(), PowerCut);
    CHECK(machine.Boot() == "1.1.0");
    CHECK(machine.state.record().Load().value().time_floor == 2000);
    CHECK(machine.source.staging_empty());
  }
}

TEST_CASE("power cut at every durable step of a fallback: the old release runs and knows why") {
  auto broken = [](Machine& machine) {
    machine.unhealthy["1.1.0"] = "not serving";
    REQUIRE(machine.Update());
  };
  Machine whole;
  broken(whole);
  const int before = whole.steps();
  whole.Boot();
  const int steps = whole.steps() - before;
  for (int step = 1; step <= steps; step++) {
    INFO("cut at step " << step << " of " << steps);
    Machine machine;
    broken(machine);
    machine.CutPowerAt(step);
    REQUIRE_THROWS_AS(machine.Boot(), PowerCut);
    CHECK(machine.Boot() == "1.0.0");
    CHECK(machine.ReadStatus().fallback->reason.contains("not serving"));
    CHECK(machine.Update().error().code == Code::kRefused);
  }
}

// After the bless: a release that goes bad later, and one that is counted again.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "tests/scenario/machine.h"
#include "updater/engine/post_mortem.h"

using namespace hostos;

namespace {

Machine& OnProbation(Machine& machine) {
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  return machine;
}

// Makes containerd die this long after now.
void DieAfter(Machine& machine, Seconds time) {
  const Milliseconds end = machine.clock.Monotonic() + time;
  machine.before_round = [&machine, end] {
    if (machine.clock.Monotonic() >= end) machine.unhealthy["1.1.0"] = "containerd is down";
  };
}

}  // namespace

TEST_CASE("a release that stays healthy is watched until its probation is over") {
  Machine machine;
  OnProbation(machine);
  const Milliseconds begin = machine.clock.Monotonic();
  const ProbationResult result = machine.WatchProbation().value();
  CHECK(result.end == ProbationEnd::kPassed);
  CHECK(result.release.version == "1.1.0");
  CHECK(machine.clock.Monotonic() - begin == Seconds(3600));
  CHECK_FALSE(machine.ReadStatus().degraded);
}

TEST_CASE("a release that goes bad in its probation is reported, and stays") {
  Machine machine;
  DieAfter(OnProbation(machine), Seconds(600));
  CHECK(machine.WatchProbation().value().end == ProbationEnd::kDegraded);
  const Status status = machine.ReadStatus();
  REQUIRE(status.degraded);
  CHECK(status.degraded->release.version == "1.1.0");
  CHECK(status.degraded->reason.starts_with("in its probation: canary: containerd is down"));
  CHECK(ReadPostMortems(machine.world).at(0).phase == "probation");
  CHECK(machine.boots() == 2);
  CHECK(machine.Boot() == "1.1.0");
  CHECK(machine.WatchProbation().value().end == ProbationEnd::kNone);  // reported once
}

TEST_CASE("a release that goes bad in its probation falls back if the policy says so") {
  Machine machine;
  machine.config.probation.fall_back = true;
  DieAfter(OnProbation(machine), Seconds(600));
  CHECK(machine.WatchProbation().value().end == ProbationEnd::kFellBack);
  CHECK(machine.Boot() == "1.0.0");
  const Status status = machine.ReadStatus();
  REQUIRE(status.fallback);
  CHECK(status.fallback->release.version == "1.1.0");
  CHECK(status.fallback->reason.starts_with("in its probation: canary: containerd is down"));
  CHECK(machine.Update().error().code == Code::kRefused);
}

TEST_CASE("a release that was given up is left, wherever the power goes before that is done") {
  const bool rolled_back = GENERATE(false, true);
  const auto give_up = [&](Machine& machine) {
    machine.config.probation.fall_back = true;
    if (rolled_back) return machine.Rollback().has_value();
    DieAfter(machine, Seconds(600));
    return machine.WatchProbation().has_value();
  };
  Machine whole;
  const int before = OnProbation(whole).steps();
  REQUIRE(give_up(whole));
  REQUIRE(whole.steps() > before);
  for (int cut = 1; cut <= whole.steps() - before; cut++) {
    CAPTURE(rolled_back, cut);
    Machine machine;
    OnProbation(machine).CutPowerAt(cut);
    CHECK_THROWS_AS(give_up(machine), PowerCut);
    machine.unhealthy.clear();
    const std::string runs = machine.Boot();
    const Record record = machine.state.record().Load().value();
    CHECK(runs == (record.denied.empty() ? "1.1.0" : "1.0.0"));
    CHECK(machine.Boot() == runs);
  }
}

TEST_CASE(
    "a release that goes bad while the next one is staged is reported, and stays until the "
    "reboot") {
  Machine machine;
  machine.config.probation.fall_back = true;
  OnProbation(machine).source.Publish("1.2.0", 3000, {"kernel 3"});
  bool staged = false;
  machine.before_round = [&] {
    if (std::exchange(staged, true)) return;
    REQUIRE(machine.Update());
    machine.unhealthy["1.1.0"] = "containerd is down";
  };
  CHECK(machine.WatchProbation().value().end == ProbationEnd::kDegraded);
  CHECK(machine.ReadStatus().degraded);
  CHECK(machine.Boot() == "1.2.0");
}

TEST_CASE("a release that goes bad after it was rolled back is left to the rollback") {
  Machine machine;
  OnProbation(machine);
  bool rolled_back = false;
  machine.before_round = [&] {
    if (std::exchange(rolled_back, true)) return;
    REQUIRE(machine.Rollback());
    machine.unhealthy["1.1.0"] = "containerd is down";
  };
  const ProbationResult result = machine.WatchProbation().value();
  CHECK(result.end == ProbationEnd::kOvertaken);
  CHECK(result.verdict.reason.contains("containerd is down"));
  CHECK_FALSE(machine.ReadStatus().degraded);
  CHECK(machine.Boot() == "1.0.0");
}

TEST_CASE("a network that goes away in the probation is not the release's fault") {
  Machine machine;
  machine.config.probation.fall_back = true;
  OnProbation(machine).always = {
      {.name = "required/10-network", .detail = "no route", .environment = true}};
  CHECK(machine.WatchProbation().value().end == ProbationEnd::kPassed);
}

TEST_CASE("what was not committed last is on no probation") {
  Machine machine;
  CHECK(machine.WatchProbation().value().end == ProbationEnd::kNone);
  OnProbation(machine);
  machine.clock.Sleep(Seconds(3601));
  const Milliseconds begin = machine.clock.Monotonic();
  CHECK(machine.WatchProbation().value().end == ProbationEnd::kPassed);  // over long ago
  CHECK(machine.clock.Monotonic() == begin);
  REQUIRE(machine.Rollback());
  REQUIRE(machine.Boot() == "1.0.0");
  CHECK(machine.WatchProbation().value().end == ProbationEnd::kNone);
}

TEST_CASE("a planned reboot is counted, and blessed again") {
  Machine machine;
  OnProbation(machine);
  const size_t history = machine.state.record().Load().value().history.size();
  for (int boot = 0; boot < 3; boot++) {
    REQUIRE(machine.Recount().value());
    CHECK(machine.Boot() == "1.1.0");
    CHECK_FALSE(machine.boot.Read()->on_trial());
    CHECK_FALSE(machine.ReadStatus().update);
  }
  CHECK(machine.state.record().Load().value().history.size() == history);
}

TEST_CASE("an old release whose disk has rotted falls back at a planned reboot") {
  Machine machine;
  OnProbation(machine);
  REQUIRE(machine.Recount().value());
  SECTION("it does not boot any more") {
    machine.BreakRoot("1.1.0");
    CHECK(machine.Boot() == "1.0.0");
    CHECK(machine.ReadStatus().fallback->boots == 3);
    CHECK(machine.ReadStatus().fallback->reason.contains("did not reach its health gate"));
  }
  SECTION("it boots, and containerd does not start") {
    machine.unhealthy["1.1.0"] = "not serving";
    CHECK(machine.Boot() == "1.0.0");
    CHECK(machine.ReadStatus().fallback->reason.contains("not serving"));
  }
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.Update().error().code == Code::kRefused);
}

TEST_CASE("a planned reboot of a node that lost its network ends where it began") {
  Machine machine;
  OnProbation(machine);
  REQUIRE(machine.Recount().value());
  machine.always = {{.name = "required/10-network", .detail = "no route", .environment = true}};
  CHECK(machine.Boot() == "1.1.0");
}

TEST_CASE("a reboot is not counted again without need, or without a way back") {
  Machine machine;
  CHECK_FALSE(machine.Recount().value());  // the other slot is empty
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  REQUIRE(machine.Rollback());
  CHECK_FALSE(machine.Recount().value());  // what runs was given up
  REQUIRE(machine.Boot() == "1.0.0");
  CHECK_FALSE(machine.Recount().value());  // the other one was given up
  CHECK(machine.Boot() == "1.0.0");
}

TEST_CASE("power that goes while a reboot is being counted again boots a release all the same") {
  Machine whole;
  const int before = OnProbation(whole).steps();
  REQUIRE(whole.Recount().value());
  for (int cut = 1; cut <= whole.steps() - before; cut++) {
    for (auto what : {FakeBootControl::Cut::kLost, FakeBootControl::Cut::kBothNames}) {
      Machine machine;
      OnProbation(machine).boot.CutPowerAt(static_cast<size_t>(cut), what);
      CHECK_FALSE(machine.Recount());
      CHECK(machine.Boot() == "1.1.0");
      CHECK_FALSE(machine.boot.Read()->on_trial());
      CHECK_FALSE(machine.ReadStatus().update);
    }
  }
}

TEST_CASE("the release behind a trial is counted too, and is as good as before when it is over") {
  Machine machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Recount().value());
  REQUIRE(machine.boot.Read()->EntryOf(Slot::A)->tries == Tries{3, 0});
  SECTION("the trial passes") {
    machine.before_round = [&machine] {
      CHECK(machine.ReadStatus().slots[0].condition == SlotCondition::kFactory);
    };
    CHECK(machine.Boot() == "1.1.0");
  }
  SECTION("the trial fails") {
    machine.unhealthy["1.1.0"] = "not serving";
    CHECK(machine.Boot() == "1.0.0");
    CHECK(machine.ReadStatus().fallback->reason.contains("not serving"));
  }
  SECTION("the trial fails, and the network is gone") {
    machine.BreakRoot("1.1.0");
    machine.always = {{.name = "required/10-network", .detail = "no route", .environment = true}};
    CHECK(machine.Boot() == "1.0.0");
  }
  CHECK_FALSE(machine.boot.Read()->EntryOf(Slot::A)->tries);
  CHECK_FALSE(machine.boot.Read()->on_trial());
}

TEST_CASE("a release that was good, with nothing behind it, stays however it is") {
  Machine machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Recount().value());
  machine.BreakRoot("1.1.0");
  machine.unhealthy["1.0.0"] = "not serving";
  CHECK(machine.Boot() == "1.0.0");
  const Status status = machine.ReadStatus();
  REQUIRE(status.degraded);
  CHECK(status.degraded->reason.contains("nothing to fall back to: canary: not serving"));
  CHECK_FALSE(machine.boot.Read()->on_trial());
  CHECK(machine.boots() == 2);
}

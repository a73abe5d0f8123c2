// A release that is no good, in each way it can be, ends on the old one with the reason.
#include <catch2/catch_test_macros.hpp>

#include "tests/scenario/machine.h"

using namespace hostos;

TEST_CASE("falls back when the health gate fails, after one boot, and says why") {
  Machine machine;
  machine.unhealthy["1.1.0"] = "container did not start within 30 s";
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.boots() == 3);

  const Status status = machine.ReadStatus();
  REQUIRE(status.fallback);
  CHECK(status.fallback->release.version == "1.1.0");
  CHECK(status.fallback->boots == 1);
  CHECK(status.fallback->reason.contains("container did not start within 30 s"));
  CHECK(status.fallback->output == "output of 1.1.0");
  CHECK(status.slots[1].condition == SlotCondition::kBad);
  CHECK(status.slots[0].boots_next);
  CHECK(machine.state.record().Load().value().floor == 0);
}

TEST_CASE("falls back without any code of ours when the root never comes up") {
  Machine machine;
  machine.BreakRoot("1.1.0");
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.boot.started().size() == 4);  // three tries, then the old release
  const Status status = machine.ReadStatus();
  REQUIRE(status.fallback);
  CHECK(status.fallback->boots == 3);
  CHECK(status.fallback->reason.contains("did not reach its health gate in 3 boots"));
}

TEST_CASE("a release that fell back is not tried again unless asked") {
  Machine machine;
  machine.unhealthy["1.1.0"] = "not serving";
  REQUIRE(machine.Update());
  machine.Boot();
  Result<UpdatePlan> again = machine.Update();
  CHECK(again.error().code == Code::kRefused);
  CHECK(again.error().message.contains("not serving"));
  CHECK(machine.Boot() == "1.0.0");

  machine.unhealthy.clear();
  REQUIRE(machine.Update({.retry = true}));
  CHECK(machine.Boot() == "1.1.0");
  CHECK(machine.ReadStatus().denied.empty());
  CHECK_FALSE(machine.ReadStatus().fallback);
}

TEST_CASE("the release after a bad one is installed over it, and its objects are kept") {
  Machine machine;
  machine.unhealthy["1.1.0"] = "not serving";
  REQUIRE(machine.Update());
  machine.Boot();
  machine.source.Publish("1.2.0", 3000, {"kernel 2", "containerd 3", "bash"});
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.2.0");
  CHECK(machine.source.transfers("kernel 2") == 1);
}

TEST_CASE("a bad release installed over the last good one is never the only thing that boots") {
  Machine machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  machine.source.Publish("1.2.0", 3000, {"kernel 3"});
  machine.BreakRoot("1.2.0");
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.1.0");
  CHECK(machine.ReadStatus().slots[0].condition == SlotCondition::kBad);
}

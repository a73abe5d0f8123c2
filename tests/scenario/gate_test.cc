// What the gate does in a boot that is not the plain first trial.
#include <catch2/catch_test_macros.hpp>

#include "tests/scenario/machine.h"
#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

using namespace hostos;

TEST_CASE("in a blessed boot the gate decides nothing, however unhealthy") {
  Machine machine;
  machine.unhealthy["1.0.0"] = "containerd is down";
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.boots() == 3);
}

TEST_CASE("the gate tells the trial deadline that it has come to an end") {
  Machine machine;
  CHECK_FALSE(ReadFile(machine.dir / "run/gate-finished"));
  machine.Boot();
  CHECK(ReadFile(machine.dir / "run/gate-finished"));
}

TEST_CASE("while a release is on trial no update begins") {
  Machine machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.boot.Boot());  // and its gate has not run yet
  machine.source.Publish("1.2.0", 3000, {"kernel 3"});
  Result<UpdatePlan> update = machine.Update();
  CHECK(update.error().code == Code::kBusy);
  CHECK(update.error().message.contains("on trial"));
}

TEST_CASE("power lost during each trial boot ends on the old release") {
  Machine machine;
  REQUIRE(machine.Update());
  for (int boots = 0; boots < 3; boots++) REQUIRE(machine.boot.Boot() == Slot::B);
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.ReadStatus().fallback->boots == 3);
}

TEST_CASE("a release on trial whose record was lost is kept or given up on its health alone") {
  Machine machine;
  REQUIRE(machine.Update());
  REQUIRE(RemoveFileDurably(machine.state.record().path()));
  SECTION("healthy") {
    CHECK(machine.Boot() == "1.1.0");
  }
  SECTION("unhealthy") {
    machine.unhealthy["1.1.0"] = "not serving";
    CHECK(machine.Boot() == "1.0.0");
  }
}

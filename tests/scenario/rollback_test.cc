#include <catch2/catch_test_macros.hpp>

#include "tests/scenario/machine.h"

using namespace hostos;

TEST_CASE("a rollback goes to the release in the other slot and sticks") {
  Machine machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  CHECK(machine.Rollback().value().version == "1.0.0");
  CHECK(machine.ReadStatus().slots[0].boots_next);
  CHECK(machine.Rollback().value().version == "1.0.0");  // asked again before the reboot
  CHECK(std::ranges::count(machine.state.record().Load()->history, Outcome::kRolledBack,
                           &HistoryEntry::outcome) == 1);
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.Boot() == "1.0.0");
  Result<UpdatePlan> again = machine.Update();
  CHECK(again.error().code == Code::kRefused);
  CHECK(again.error().message.contains("asked by the operator"));
}

TEST_CASE("a rollback is refused when the other slot was never good") {
  Machine machine;
  CHECK(machine.Rollback().error().code == Code::kNotFound);
  machine.unhealthy["1.1.0"] = "not serving";
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.0.0");
  CHECK(machine.Rollback().error().code == Code::kNotFound);
  CHECK(machine.Boot() == "1.0.0");
}

TEST_CASE("a rollback of a staged update cancels it") {
  Machine machine;
  REQUIRE(machine.Update());
  CHECK(machine.Rollback().value().version == "1.0.0");
  CHECK(machine.Boot() == "1.0.0");
  CHECK_FALSE(machine.ReadStatus().update);
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.1.0");
}

TEST_CASE("a release given up for a rollback comes back when it is asked for") {
  Machine machine;
  REQUIRE(machine.Update());
  machine.Boot();
  REQUIRE(machine.Rollback());
  machine.Boot();
  REQUIRE(machine.Update({.retry = true}));
  CHECK(machine.Boot() == "1.1.0");
}

// `signatures=` of the running release decides who must sign the next one.
TEST_CASE("after a rollback the newest committed release still says who has to sign") {
  Machine machine;
  const SignatureRule before{SignaturePolicy::kClassical, 1}, newest{SignaturePolicy::kHybrid, 2};
  const auto remembered = [&] { return machine.state.record().Load()->signatures; };
  machine.config.released_signatures = before;
  REQUIRE(machine.Boot() == "1.0.0");
  CHECK(remembered() == before);
  REQUIRE(machine.Update());
  machine.config.released_signatures = newest;
  machine.before_round = [&] { CHECK(remembered() == before); };  // still on trial
  REQUIRE(machine.Boot() == "1.1.0");
  CHECK(remembered() == newest);
  REQUIRE(machine.Rollback());
  machine.config.released_signatures = before;
  machine.before_round = [] {};
  REQUIRE(machine.Boot() == "1.0.0");
  CHECK(remembered() == newest);
  // A newer release may demand less: the keys that this one demands have signed it.
  machine.source.Publish("1.2.0", 3000, {"kernel 3"});
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.2.0");
  CHECK(remembered() == before);
}

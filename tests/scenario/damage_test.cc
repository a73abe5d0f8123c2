// A file of the state directory that cannot be read blocks no verb.
#include "tests/scenario/damage.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include "tests/scenario/machine.h"

using namespace hostos;

namespace {

std::string KeptCommitOf(Machine& machine, const std::string& version) {
  const Digest commit = machine.source.Resolve(version, 0).value().release.commit;
  return machine.dir / "state/commits/" + commit.Hex() + ".commit";
}

}  // namespace

TEST_CASE("a kept commit that cannot be read ends no verb, and status names it") {
  const Damage& damage = GENERATE(from_range(kDamages));
  const std::string suffix = GENERATE("", "meta");
  CAPTURE(damage.what, suffix);
  Machine machine;
  REQUIRE(machine.Update());
  const std::string old = KeptCommitOf(machine, "1.0.0") + suffix;
  const std::string next = KeptCommitOf(machine, "1.1.0") + suffix;
  SECTION("of a healthy release on trial, which is kept") {
    damage.happen(next);
    CHECK(machine.Boot() == "1.1.0");
    CHECK(machine.boots() == 2);
    CHECK(machine.state.record().Load()->history.back().outcome == Outcome::kCommitted);
    const std::vector<std::string> problems = machine.ReadStatus().problems;
    if (damage.what != std::string("gone") || suffix == "meta") {
      REQUIRE(problems.size() == 1);
      CHECK(problems[0].contains(next.substr(0, next.rfind('.'))));
    } else {
      CHECK(problems.empty());  // nothing is there
    }
    CHECK(machine.ReadStatus().version == "1.1.0");  // from its boot entry
  }
  SECTION("of an unhealthy one, which is given up, and refused from then on") {
    machine.unhealthy["1.1.0"] = "not serving";
    damage.happen(next);
    CHECK(machine.Boot() == "1.0.0");
    CHECK(machine.Update().error().code == Code::kRefused);
  }
  SECTION("of what an update replaces, or goes on from") {
    machine.Boot();
    machine.source.Publish("1.2.0", 3000, {"kernel 3"});
    damage.happen(GENERATE_COPY(old, next));
    REQUIRE(machine.Update());
    CHECK(machine.Boot() == "1.2.0");
  }
  SECTION("of the release that is rolled back, which stays refused") {
    machine.Boot();
    damage.happen(next);
    REQUIRE(machine.Rollback());
    CHECK(machine.Boot() == "1.0.0");
    CHECK(machine.Update().error().code == Code::kRefused);
  }
  SECTION("of the one behind it") {
    machine.Boot();
    damage.happen(old);
    NoProgress progress;
    CHECK(VerifySlot(machine.world, Slot::B, progress)->proven);
    CHECK_FALSE(VerifySlot(machine.world, Slot::A, progress)->proven);
    CHECK(machine.WatchProbation());
    REQUIRE(machine.BeginSelfTest());
    CHECK(machine.Boot() == "1.1.0");
    REQUIRE(machine.Recount().value());
    CHECK(machine.Boot() == "1.1.0");
    REQUIRE(machine.Rollback());
    CHECK(machine.Boot() == "1.0.0");
  }
}

TEST_CASE("a floor that is not known refuses an update, and nothing else, until the next boot") {
  Machine machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  for (const char* copy : {"state/floor.0", "state/floor.1"})
    kDamages.back().happen(machine.dir / copy);  // a file that cannot be read
  machine.source.Publish("1.2.0", 3000, {"kernel 3"});
  CHECK(machine.Update().error().message.contains("floor."));
  CHECK(machine.ReadStatus().problems.size() == 1);
  CHECK(machine.ReadStatus().index_floor == 2);  // from the record
  CHECK(machine.WatchProbation());
  CHECK(machine.Boot() == "1.1.0");
  CHECK(machine.floor.Read() == 2u);
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.2.0");
}

TEST_CASE("whatever file of the state directory is damaged, every verb goes on") {
  const Damage& damage = GENERATE(from_range(kDamages));
  const std::string name = GENERATE("record.json", "record.json.unreadable", "commits", "lock",
                                    "floor.0", "failures", "etc", "verified-a.json");
  CAPTURE(damage.what, name);
  Machine machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  damage.happen(machine.dir / "state/" + name);
  (void)machine.ReadStatus();
  SECTION("update") {
    machine.source.Publish("1.2.0", 3000, {"kernel 3"});
    REQUIRE(machine.Update());
    CHECK(machine.Boot() == "1.2.0");
    CHECK(machine.floor.Read() == 3);
  }
  SECTION("gate") {
    CHECK(machine.Boot() == "1.1.0");
    CHECK(machine.floor.Read() == 2);
  }
  SECTION("rollback") {
    REQUIRE(machine.Rollback());
    CHECK(machine.Boot() == "1.0.0");
    CHECK(machine.Update().error().code == Code::kRefused);
  }
  SECTION("probation, recount and selftest") {
    CHECK(machine.WatchProbation());
    REQUIRE(machine.BeginSelfTest());
    CHECK(machine.Boot() == "1.1.0");
    CHECK(machine.state.record().Load()->selftest->state == SelfTestState::kPassed);
    REQUIRE(machine.Recount().value());
    CHECK(machine.Boot() == "1.1.0");
  }
}

TEST_CASE("an end of support that is no date is a problem, and hides nothing else") {
  Machine machine;
  machine.world.os_release = machine.dir / "os-release";
  WriteText(machine.world.os_release, "SUPPORT_END=soon\n");
  const Status status = machine.ReadStatus();
  REQUIRE(status.problems.size() == 1);
  CHECK(status.problems[0].contains("SUPPORT_END: expected a date"));
  CHECK(status.version == "1.0.0");
  CHECK_FALSE(status.support.Over(machine.clock.Now()));
}

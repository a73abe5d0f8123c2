// What the gate does in boots other than a plain first trial.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "tests/scenario/full_disk.h"
#include "tests/scenario/machine.h"
#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"
#include "updater/engine/post_mortem.h"

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

TEST_CASE("a healthy release is committed when its staging repository cannot be emptied") {
  Machine machine;
  REQUIRE(machine.Update());
  machine.source.discard_error = Error{Code::kNetwork, "nobody is there"};
  CHECK(machine.Boot() == "1.1.0");
  CHECK_FALSE(machine.ReadStatus().update);
  CHECK(machine.state.record().Load()->history.back().outcome == Outcome::kCommitted);
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

TEST_CASE("a loader that cannot count does not try a release for ever") {
  Machine machine;
  REQUIRE(machine.Update());
  machine.boot.loader_counts = false;
  machine.before_round = [] { throw PowerCut{}; };
  for (int boot = 0; boot < 3; boot++) CHECK_THROWS_AS(machine.Boot(), PowerCut);
  CHECK(machine.boot.Read()->EntryOf(Slot::B)->tries == Tries{3, 0});
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.ReadStatus().fallback->reason.contains("the boot loader does not count"));
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
    CHECK(machine.Update().error().code == Code::kRefused);
  }
}

TEST_CASE("a record that cannot be understood is set aside, and decides nothing") {
  Machine machine;
  REQUIRE(machine.Update());
  const std::string file = machine.state.record().path();
  const std::string good = ReadFile(file).value();
  std::string wrong = good;
  wrong.replace(wrong.find("\"floor\": "), 9, "\"floor\": -");
  const std::string bad = GENERATE_REF(std::string("{"), std::string(), std::string(100, '\0'),
                                       good.substr(0, good.size() / 2), wrong);
  REQUIRE(WriteFileAtomically(file, bad));
  SECTION("by the gate of a healthy release") {
    CHECK(machine.Boot() == "1.1.0");
    CHECK(machine.boots() == 2);
  }
  SECTION("by the gate of one that is not healthy") {
    machine.unhealthy["1.1.0"] = "not serving";
    CHECK(machine.Boot() == "1.0.0");
    CHECK(machine.boots() == 3);
    CHECK(machine.Update().error().code == Code::kRefused);
  }
  SECTION("by an update, which keeps the floor of what runs") {
    REQUIRE(machine.Update());
    CHECK(machine.state.record().Load().value().time_floor == 1000);
  }
  CHECK(ReadFile(file + ".unreadable").value() == bad);
  CHECK(machine.state.record().Load());
}

TEST_CASE("a release that was given up stays refused when the record is damaged") {
  Machine machine;
  machine.unhealthy["1.1.0"] = "not serving";
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.0.0");
  const std::string file = machine.state.record().path();
  const std::string good = ReadFile(file).value();
  std::string wrong = good;
  wrong.replace(wrong.find("\"floor\": "), 9, "\"floor\": -");
  // Broken off after its denials; a value of another type; nothing whole, but the boot entry tells;
  // no file at all.
  const std::string bad = GENERATE_REF(good.substr(0, good.find("\"format\"")), wrong,
                                       std::string("{"), std::string("a directory"));
  CAPTURE(bad);
  if (bad != "a directory") {
    REQUIRE(WriteFileAtomically(file, bad));
  } else {
    REQUIRE(RemoveFileDurably(file));
    REQUIRE(MakeDirectories(file + "/inside"));
  }
  CHECK(machine.ReadStatus().problems.size() == 1);
  SECTION("by an update") {}
  SECTION("by an update that found no network before") {
    machine.source.resolve_error = Error{Code::kNetwork, "nobody is there"};
    CHECK(machine.Update().error().code == Code::kNetwork);
  }
  SECTION("by the gate of a boot on a full state partition") {
    const FullDisk full;
    CHECK_FALSE(RunGate(machine.world, machine.config).value().problems.empty());
  }
  CHECK(machine.Update().error().code == Code::kRefused);
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.Update().error().code == Code::kRefused);
  CHECK(machine.ReadStatus().problems.empty());
}

TEST_CASE("a state partition that is full does not decide a trial") {
  Machine machine;
  REQUIRE(machine.Update());
  SECTION("healthy: blessed, and committed when there is room") {
    REQUIRE(machine.boot.Boot() == Slot::B);
    {
      const FullDisk full;
      const GateResult gate = RunGate(machine.world, machine.config).value();
      CHECK(gate.verdict.healthy);
      CHECK_FALSE(gate.problems.empty());  // and reports it
    }
    CHECK_FALSE(machine.boot.Read()->on_trial());
    CHECK(machine.Boot() == "1.1.0");
    CHECK(machine.state.record().Load().value().history.at(0).outcome == Outcome::kCommitted);
  }
  SECTION("not healthy: marked bad, and the old release says what it can") {
    machine.unhealthy["1.1.0"] = "not serving";
    REQUIRE(machine.boot.Boot() == Slot::B);
    {
      const FullDisk full;
      const GateResult gate = RunGate(machine.world, machine.config).value();
      CHECK(gate.rebooting);
      CHECK_FALSE(gate.problems.empty());
    }
    CHECK(machine.Boot() == "1.0.0");
    CHECK(machine.ReadStatus().fallback->boots == 1);
  }
}

TEST_CASE("a clock that is wrong by decades changes no decision") {
  Machine machine;
  machine.clock.Set(GENERATE(Seconds(0), Seconds(4'073'760'000)));  // 1970, 2099
  REQUIRE(machine.Update());
  SECTION("healthy") {
    machine.clock.Set(Seconds(1'795'225'800));
    CHECK(machine.Boot() == "1.1.0");
  }
  SECTION("not healthy") {
    machine.unhealthy["1.1.0"] = "not serving";
    CHECK(machine.Boot() == "1.0.0");
    machine.clock.Set(Seconds(1'795'225'800));
    CHECK(machine.Update().error().code == Code::kRefused);
    CHECK(ReadPostMortems(machine.world).size() == 1);
  }
}

// A release that wrote the state in a later format falls back; the present release goes on with
// that state.
#include "tests/scenario/next_format.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/scenario/machine.h"
#include "updater/engine/post_mortem.h"

using namespace hostos;

namespace {

uint64_t FormatOf(const std::string& file) {
  return nlohmann::json::parse(ReadFile(file).value())["format"];
}

// Keeps 1.1.0; 1.2.0 falls back and is denied.
void LiveALittle(Machine& machine) {
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  machine.source.Publish("1.2.0", 3000, {"kernel 3"});
  machine.unhealthy["1.2.0"] = "not serving";
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  for (Slot slot : {Slot::A, Slot::B}) {
    const Digest root = machine.boot.Read()->slot(slot).root_hash.value();
    REQUIRE(SaveVerification(machine.state, slot, {7, root, ""}));
  }
  REQUIRE(WriteFileAtomically(machine.dir / "state/lock", "hostctl update, pid 1"));
  REQUIRE(machine.Update().error().code == Code::kRefused);
}

}  // namespace

TEST_CASE("what a later version wrote is read by this one, file by file") {
  Machine machine;
  LiveALittle(machine);
  const Status before = machine.ReadStatus();
  const Record known = machine.state.record().Load().value();
  WriteNextFormat(machine.dir / "state");
  REQUIRE(FormatOf(machine.dir / "state/record.json") == 2);

  const Status after = machine.ReadStatus();
  CHECK(after.problems.empty());
  CHECK(after.version == "1.1.0");
  CHECK(after.index_floor == before.index_floor);
  CHECK(machine.floor.Read() == 2);
  REQUIRE(after.denied.size() == 1);
  CHECK(after.denied[0].release.version == "1.2.0");
  CHECK(after.fallback->release.version == "1.2.0");
  for (const SlotStatus& slot : after.slots) {
    CHECK(slot.release);
    CHECK(slot.verified.value().proven());
  }
  CHECK(ReadPostMortems(machine.world).size() == 1);
  const Record record = machine.state.record().Load().value();
  CHECK(record.history.size() == known.history.size());
  CHECK(record.time_floor == known.time_floor);
  CHECK(record.index_floor == known.index_floor);
  CHECK_FALSE(record.selftest);
}

TEST_CASE("a denied release stays denied from version to version and back") {
  Machine machine;
  LiveALittle(machine);
  for (int round = 0; round < 3; round++) {
    CAPTURE(round);
    WriteNextFormat(machine.dir / "state");
    CHECK(machine.Update().error().code == Code::kRefused);
    CHECK(machine.Boot() == "1.1.0");  // its gate writes the record
    CHECK(FormatOf(machine.dir / "state/record.json") == Record::kFormat);
    CHECK(machine.Update().error().code == Code::kRefused);
    CHECK(machine.state.record().Load()->history.size() == 2);
  }
  CHECK_FALSE(std::filesystem::exists(machine.dir / "state/record.json.unreadable"));

  SECTION("until it is tried again on demand, and passes") {
    WriteNextFormat(machine.dir / "state");
    machine.unhealthy.clear();
    REQUIRE(machine.Update({.retry = true}));
    CHECK(machine.Boot() == "1.2.0");
    CHECK(machine.ReadStatus().denied.empty());
  }
  SECTION("and nothing is installed that comes before what was committed") {
    machine.source.Publish("1.3.0", 4000, {"kernel 4"});
    machine.source.SetIndex("1.3.0", 1);
    CHECK(machine.Update().error().code == Code::kNotTrusted);
  }
}

TEST_CASE("of an update in progress that only a later version understands, the evidence decides") {
  Machine machine;
  REQUIRE(machine.Update());
  SECTION("its release never came to its gate: it is denied") {
    machine.BreakRoot("1.1.0");
    WriteNextFormat(machine.dir / "state");
    CHECK(machine.Boot() == "1.0.0");
    CHECK(machine.Update().error().code == Code::kRefused);
    CHECK(machine.ReadStatus().fallback->boots == 3);
  }
  SECTION("its own gate marked it bad, after it wrote the record its way: it is denied") {
    REQUIRE(machine.boot.Boot() == Slot::B);
    REQUIRE(machine.boot.MarkBad(Slot::B));
    WriteNextFormat(machine.dir / "state");
    CHECK(machine.Boot() == "1.0.0");
    CHECK(machine.Update().error().code == Code::kRefused);
  }
  SECTION("it is healthy: it is kept") {
    WriteNextFormat(machine.dir / "state");
    CHECK(machine.Boot() == "1.1.0");
    CHECK(machine.boots() == 2);
    CHECK_FALSE(machine.ReadStatus().update);
  }
  SECTION("it was never started: nobody blames it") {
    WriteNextFormat(machine.dir / "state");
    REQUIRE(machine.boot.MarkBad(Slot::B));
    CHECK(machine.Boot() == "1.0.0");
    REQUIRE(machine.Update());
    CHECK(machine.Boot() == "1.1.0");
  }
}

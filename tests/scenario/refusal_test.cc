// Whatever is refused is refused before anything changes.
#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "tests/scenario/machine.h"
#include "tests/text_file.h"

using namespace hostos;

namespace {

// The update must fail with this code and take no durable step. Returns the message.
std::string Refused(Machine& machine, Code code, const UpdateOptions& options = {}) {
  const int steps = machine.steps();
  Result<UpdatePlan> update = machine.Update(options);
  REQUIRE_FALSE(update);
  CHECK(update.error().code == code);
  CHECK(machine.steps() == steps);
  CHECK_FALSE(machine.state.record().Load().value().update);
  CHECK(machine.Boot() == "1.0.0");
  return update.error().message;
}

}  // namespace

TEST_CASE("no network, no trust, another machine's release: one message, nothing changed") {
  for (Code code : {Code::kNetwork, Code::kNotTrusted, Code::kNotSupported, Code::kNotFound}) {
    Machine machine;
    machine.source.resolve_error = Error{code, "as the server had it"};
    CHECK(Refused(machine, code) == "as the server had it");
  }
}

TEST_CASE("a metered network is refused where the policy says so, and what is not known is none") {
  Machine machine;
  int asked = 0;
  std::optional<bool> metered = true;
  machine.world.metering = [&] {
    asked++;
    return Metering{metered, "somebody says so"};
  };
  UpdateOptions options{.refuse_metered = true};
  CHECK(Refused(machine, Code::kNotNow, options) ==
        "not now: the network is metered (somebody says so), and 1.1.0 needs a download of 0.0 MB; "
        "[source] metered is \"refuse\"");
  CHECK(PlanUpdate(machine.world, options)->metered());
  CHECK(machine.source.transfers("kernel 2") == 0);
  asked = 0;
  SECTION("elsewhere it goes on") {
    metered = false;
    CHECK(machine.Update(options));
    CHECK(asked == 1);
  }
  SECTION("not known") {
    metered.reset();
    CHECK(machine.Update(options));
  }
  SECTION("allowed this once") {
    options.allow_metered = true;
    CHECK(machine.Update(options));
  }
  SECTION("by the default nobody is asked") {
    CHECK(machine.Update());
    CHECK(asked == 0);
  }
  SECTION("nor is the network when there is nothing left to download") {
    machine.source.SetRunning("1.1.0");
    CHECK(machine.Update(options));
    CHECK(asked == 0);
  }
  CHECK(machine.Boot() == "1.1.0");
}

TEST_CASE("an image larger than the slot is refused, with both sizes") {
  Machine machine;
  machine.boot.slots[1].data_capacity = 4095;
  CHECK(Refused(machine, Code::kNoSpace).contains("in slot B"));
}

TEST_CASE("a hash tree larger than its partition is refused") {
  Machine machine;
  machine.boot.slots[1].verity_capacity = 4095;
  CHECK(Refused(machine, Code::kNoSpace).contains("hash tree of slot B"));
}

TEST_CASE("a full ESP is refused, and what fills it is named") {
  Machine machine;
  machine.boot.esp.size = 4 << 20;
  machine.boot.esp.unknown = {{"EFI/old/vmlinuz", 4 << 20}};
  const std::string message = Refused(machine, Code::kNoSpace);
  CHECK(message.contains("on the ESP"));
  CHECK(message.contains("EFI/old/vmlinuz"));
}

TEST_CASE("a full state partition is refused") {
  Machine machine;
  SECTION("of bytes") {
    machine.source.staging_free.bytes = 1000;
    CHECK(Refused(machine, Code::kNoSpace).contains("state partition"));
  }
  SECTION("of inodes") {
    machine.source.staging_free.inodes = 1012;
    const std::string message = Refused(machine, Code::kNoSpace);
    CHECK(message.contains("state partition"));
    CHECK(message.contains("inodes, has 1012"));
  }
  SECTION("of inodes for its objects") {
    const UpdatePlan plan = PlanUpdate(machine.world, {}).value();
    std::vector<std::string> objects;
    for (int i = 0; i < 5000; i++) objects.push_back(std::format("object {}", i));
    machine.source.Publish("1.2.0", 3000, objects);
    const uint64_t more = 5000 - plan.fetch.objects;
    CHECK(PlanUpdate(machine.world, {})->state_needed.inodes == plan.state_needed.inodes + more);
    machine.source.staging_free.inodes = plan.state_needed.inodes + more - 1;
    CHECK(Refused(machine, Code::kNoSpace).contains("inodes, has"));
    // What the fetch removes first counts as free.
    machine.source.removed.inodes = 1;
    CHECK(PlanUpdate(machine.world, {}));
  }
}

TEST_CASE("an update counts the copy of /etc with which its release begins") {
  Machine machine;
  const Space before = PlanUpdate(machine.world, {}).value().state_needed;
  for (int i = 0; i < 10; i++)
    WriteText(std::format("{}/site/{}", machine.Etc("1.0.0"), i), std::string(5000, 'x'));
  const Space after = PlanUpdate(machine.world, {}).value().state_needed;
  CHECK(after.inodes == before.inodes + 11);
  CHECK(after.bytes >= before.bytes + 10 * 8192);
  machine.source.staging_free.bytes = after.bytes - 1;
  CHECK(Refused(machine, Code::kNoSpace).contains("state partition"));
  machine.source.staging_free.bytes = after.bytes;
  REQUIRE(machine.Update());
}

TEST_CASE("a release that is not newer than the running one is refused") {
  Machine machine;
  machine.source.Publish("0.9.0", 9000, {"kernel 0"});
  CHECK(
      Refused(machine, Code::kNotSupported).contains("0.9.0 is not newer than the running 1.0.0"));
}

TEST_CASE("a release older than the floor is refused although its version is newer") {
  Machine machine;
  REQUIRE(machine.Update());
  machine.Boot();
  machine.source.Publish("1.5.0", 1500, {"kernel 5"});
  Result<UpdatePlan> update = machine.Update();
  REQUIRE_FALSE(update);
  CHECK(update.error().code == Code::kNotTrusted);
  CHECK(update.error().message.contains("before the newest release this machine committed to"));
}

TEST_CASE("nothing is installed that comes before what this machine committed to, once it did") {
  Machine machine;
  REQUIRE(machine.Update());
  CHECK(machine.floor.Read() == 0u);  // the running release remains one to fall back to
  machine.Boot();
  CHECK(machine.floor.Read() == 2u);
  machine.source.Publish("1.5.0", 3000, {"kernel 5"});
  machine.source.SetIndex("1.5.0", 1);
  const auto refused = [&] {
    const Result<UpdatePlan> update = machine.Update();
    REQUIRE_FALSE(update);
    CHECK(update.error().code == Code::kNotTrusted);
    CHECK(update.error().message ==
          "1.5.0 has index 1 in the order of releases, before 2, which this machine committed to");
  };
  SECTION("as it is") {
    refused();
  }
  SECTION("without a record") {
    std::filesystem::remove(machine.dir / "state/record.json");
    refused();
  }
  SECTION("without the floor's files, which the next boot writes again") {
    for (const char* copy : {"0", "1"})
      std::filesystem::remove(machine.dir / ("state/floor." + std::string(copy)));
    refused();
    machine.Boot();
    CHECK(machine.floor.Read() == 2u);
  }
  machine.source.SetIndex("1.5.0", 3);
  CHECK(machine.Update());
  CHECK(machine.Rollback());
}

TEST_CASE("a clock before a time that has been is not believed") {
  Machine machine;
  machine.clock.Set(Seconds(0));
  REQUIRE(machine.Update());
  CHECK(machine.source.resolved_at == 1000);  // the time of the running release
  machine.Boot();
  machine.source.Publish("1.2.0", 3000, {"kernel 3"});
  machine.clock.Set(Seconds(5000));
  REQUIRE(CheckForUpdate(machine.world, {}));
  CHECK(machine.source.resolved_at == 5000);
  machine.clock.Set(Seconds(0));
  REQUIRE(machine.Update());
  CHECK(machine.source.resolved_at == 5000);  // the time of the last valid metadata
}

// A release with an impossible time or index, which an earlier version installed and committed
// because it checked neither. What is published next is good.
constexpr uint64_t kDay = 86'400, kYear2100 = 4'102'444'800;

static void Strand(Machine& machine, uint64_t timestamp, uint64_t index) {
  machine.source.PublishMetadata(2, machine.clock.Now() + 7 * kDay);
  machine.source.Publish("1.1.7", timestamp, {"kernel 2"});
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.7");
  Record record = machine.state.record().Load().value();
  record.time_floor = timestamp;
  record.index_floor = index;
  REQUIRE(machine.state.record().Save(record));
  REQUIRE(machine.floor.Raise(index));
}

TEST_CASE("a node that runs a release from the year 2100 takes the next good one") {
  Machine machine;
  const uint64_t begin = machine.clock.Now();
  Strand(machine, kYear2100, 3);
  SECTION("by its clock") {
    machine.clock.Set(Seconds(begin + kDay));
  }
  SECTION("with a clock that is behind") {
    machine.clock.Set(Seconds(0));
  }
  SECTION("by a record that was lost") {
    std::filesystem::remove(machine.dir / "state/record.json");
  }
  machine.source.PublishMetadata(3, begin + 8 * kDay);
  const uint64_t made = begin + kDay;
  machine.source.Publish("1.1.8", made, {"kernel 3"});
  const Result<UpdatePlan> update = machine.Update();
  CAPTURE(update ? "" : update.error().message);
  REQUIRE(update);
  CHECK(machine.source.resolved_at < begin + 7 * kDay);
  CHECK(machine.Boot() == "1.1.8");
  CHECK(machine.state.record().Load()->time_floor <= made);
  machine.clock.Set(Seconds(made));
  machine.source.Publish("1.1.9", 3000, {"kernel 4"});
  CHECK(machine.Update().error().message.contains("before the newest release"));
}

TEST_CASE("a node with an index that no release can have takes the next good one") {
  Machine machine;
  Strand(machine, 3000, INT64_MAX);
  machine.source.PublishMetadata(3, machine.clock.Now() + 8 * kDay);
  machine.source.Publish("1.1.8", 4000, {"kernel 3"});
  REQUIRE(machine.Update());
  CHECK(machine.floor.Read() == 0u);
  CHECK(machine.Boot() == "1.1.8");
  CHECK(machine.floor.Read() == 4u);
  CHECK(machine.state.record().Load()->index_floor == 4);
}

TEST_CASE("a node takes nothing that was made before the release it came with") {
  Machine machine;
  machine.source.Publish("1.2.0", 999, {"kernel 2"});
  const Result<UpdatePlan> update = machine.Update();
  REQUIRE_FALSE(update);
  CHECK(update.error().message.contains("before the newest release"));
}

TEST_CASE("a second run says who holds the lock") {
  Machine machine;
  const Lock held = machine.state.TryLock("hostctl update", 0).value();
  const int steps = machine.steps();
  Result<UpdatePlan> update = machine.Update();
  CHECK(update.error().code == Code::kBusy);
  CHECK(update.error().message.contains("hostctl update, pid"));
  CHECK(machine.steps() == steps);
}

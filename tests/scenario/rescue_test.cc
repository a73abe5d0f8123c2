// Neither slot has tries left: the rescue system boots, and makes one of them boot again.
#include "updater/engine/rescue.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "bootctl/entry_name.h"
#include "tests/scenario/damage.h"
#include "tests/scenario/full_disk.h"
#include "tests/scenario/machine.h"
#include "tests/scenario/next_format.h"
#include "tests/text_file.h"
#include "updater/engine/post_mortem.h"

using namespace hostos;

namespace {

// A machine with a rescue system on its ESP.
class Wreck : public Machine {
 public:
  Wreck() {
    BootEntry rescue{.file = std::string(kRescueFile), .size = 1 << 20};
    rescue.sort_key = "hostos-rescue";
    boot.entries.push_back(rescue);
  }

  // Gives the releases their counters, breaks the roots of these, and boots until the rescue system
  // runs. Returns how many times a release was started before.
  size_t Sink(std::initializer_list<const char*> broken) {
    REQUIRE(Recount().value());
    for (const char* version : broken) BreakRoot(version);
    REQUIRE_FALSE(boot.Boot());
    boots_++;
    REQUIRE(boot.started().back() == kRescueFile);
    return boot.started().size() - 1;
  }

  Result<RescueResult> Rescue() {
    boot.rescued = Slot::A;
    const Record record = state.record().Load().value_or(state.record().Salvage());
    boot.rescued = SlotToRescue(record, boot.Read().value());
    NoProgress progress;
    return hostos::Rescue(world, config, progress);
  }

  void Repair() { boot.broken.clear(); }
};

class Listening : public NoProgress {
 public:
  void Begin(std::string_view, std::string_view detail) override {
    said += std::format("{}\n", detail);
  }
  std::string said;
};

}  // namespace

TEST_CASE("a trial that fails on a node whose old release has rotted ends in the rescue system") {
  Wreck machine;
  REQUIRE(machine.Update());
  CHECK(machine.Sink({"1.0.0", "1.1.0"}) == 6);

  machine.disk.content[0].reset();
  const RescueResult result = machine.Rescue().value();
  CHECK(result.end == RescueEnd::kReinstalled);
  CHECK(result.version == "1.0.0");
  CHECK(result.slot == Slot::A);
  machine.Repair();
  CHECK(machine.Boot() == "1.0.0");
  const Status status = machine.ReadStatus();
  CHECK(status.slots[1].condition == SlotCondition::kBad);
  CHECK(machine.Update().error().code == Code::kRefused);  // 1.1.0 fell back
  CHECK_FALSE(machine.boot.Read()->on_trial());
}

TEST_CASE("a node that only lost power too often comes back by itself") {
  Wreck machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  CHECK(machine.Sink({"1.0.0", "1.1.0"}) == 6);

  const Milliseconds before = machine.clock.Monotonic();
  const RescueResult result = machine.Rescue().value();
  CHECK(result.end == RescueEnd::kIndeterminate);
  CHECK(result.version == "1.1.0");
  CHECK(machine.clock.Monotonic() - before == Seconds(300));
  machine.Repair();
  CHECK(machine.Boot() == "1.1.0");
  CHECK_FALSE(machine.boot.Read()->on_trial());
  const Status status = machine.ReadStatus();
  CHECK(status.denied.empty());
  CHECK_FALSE(status.fallback);
}

TEST_CASE("a boot image that differs from the signed one is installed again") {
  Wreck machine;
  CHECK(machine.Sink({"1.0.0"}) == 3);
  machine.boot.images.begin()->second = Digest();
  const RescueResult result = machine.Rescue().value();
  CHECK(result.end == RescueEnd::kReinstalled);
  CHECK(result.version == "1.0.0");
  machine.Repair();
  CHECK(machine.Boot() == "1.0.0");
}

TEST_CASE("a fallback that ends in the rescue system leaves its post-mortem like any other") {
  Wreck machine;
  size_t boots = 3;
  SECTION("of the only release, which the watchdog reset") {
    CHECK(machine.Sink({"1.0.0"}) == boots);
  }
  SECTION("of one behind which another was booted, which the watchdog reset") {
    REQUIRE(machine.Update());
    boots = 6;
    CHECK(machine.Sink({"1.0.0", "1.1.0"}) == boots);
  }
  machine.black_box.watchdog = true;
  REQUIRE(machine.Rescue());
  const std::vector<PostMortem> post_mortems = ReadPostMortems(machine.world);
  REQUIRE(post_mortems.size() == 1);
  const PostMortem& found = post_mortems.front();
  CHECK(found.release.version == (boots == 3 ? "1.0.0" : "1.1.0"));
  CHECK(found.boots == 3);
  CHECK(found.phase == "early boot");
  CHECK(found.watchdog == (boots == 3));
  const HistoryEntry entry = machine.state.record().Load().value().history.back();
  CHECK(entry.reason == found.reason + "; " + found.cause);
}

TEST_CASE("while the rescue waits, nobody else changes what it decided on") {
  class Waiting : public FakeClock {
   public:
    explicit Waiting(StateDir& state) : state_(state) {}
    void Sleep(Milliseconds time) override {
      const Result<Lock> lock = state_.TryLock("another", 0);
      refused = !lock && lock.error().code == Code::kBusy;
      FakeClock::Sleep(time);
    }
    bool refused = false;

   private:
    StateDir& state_;
  };
  Wreck machine;
  machine.Sink({"1.0.0"});
  Waiting clock(machine.state);
  World world{machine.source,       machine.disk,        machine.boot,
              machine.world.health, machine.world.power, clock,
              machine.black_box,    machine.floor,       machine.state};
  machine.boot.rescued = Slot::A;
  NoProgress progress;
  CHECK(Rescue(world, machine.config, progress).value().end == RescueEnd::kIndeterminate);
  CHECK(clock.refused);
  CHECK(machine.state.TryLock("another", 0));
}

TEST_CASE("what a node had before it has again, also with metadata that counts no longer") {
  Wreck machine;
  machine.Sink({"1.0.0"});
  machine.disk.content[0].reset();
  machine.source.resolve_error = Error{Code::kNotTrusted, "timestamp expired"};
  machine.clock.Set(Seconds(4'070'908'800));  // in 2099
  CHECK(machine.Rescue().value().version == "1.0.0");
  CHECK(machine.source.resolved_at == 0);
  CHECK(machine.state.record().Load().value().checked < 4'070'908'800);  // no metadata said so
}

TEST_CASE("a rescue beside an empty slot says that the rescue system is behind its trial") {
  Wreck machine;
  machine.Sink({"1.0.0"});
  machine.disk.content[0].reset();
  machine.boot.rescued = Slot::A;
  Listening progress;
  REQUIRE(Rescue(machine.world, machine.config, progress));
  CHECK(progress.said.contains("then back to the rescue system\n"));
  CHECK(progress.said.contains("health under the rescue system\n"));
}

TEST_CASE("a rescue that is cut short anywhere is only run again") {
  Wreck whole;
  whole.Sink({"1.0.0"});
  whole.disk.content[0].reset();
  const int before = whole.steps();
  REQUIRE(whole.Rescue());
  for (int cut = 1; cut <= whole.steps() - before; cut++) {
    CAPTURE(cut);
    Wreck machine;
    machine.Sink({"1.0.0"});
    machine.disk.content[0].reset();
    machine.CutPowerAt(cut);
    CHECK_THROWS_AS(machine.Rescue(), PowerCut);
    if (!machine.boot.Boot()) {
      REQUIRE(machine.boot.started().back() == kRescueFile);
      REQUIRE(machine.Rescue());
    }
    machine.Repair();
    CHECK(machine.Boot() == "1.0.0");
  }
}

TEST_CASE("the rescue goes on whatever is damaged in the state directory") {
  const Damage& damage = GENERATE(from_range(kDamages));
  const std::string name = GENERATE("record.json", "commits", "commits/*", "lock", "floor.0",
                                    "failures", "etc", "verified-a.json", "");
  CAPTURE(damage.what, name);
  Wreck machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  machine.Sink({"1.0.0", "1.1.0"});
  const bool rotten = GENERATE(false, true);
  if (rotten) machine.disk.content[1].reset();

  const std::string state = machine.state.path();
  std::vector<std::string> paths = {state + "/" + name};
  if (name == "commits/*") {
    paths.clear();
    for (const auto& file : std::filesystem::directory_iterator(state + "/commits"))
      paths.push_back(file.path());
    REQUIRE(paths.size() == 4);
  }
  for (const std::string& path : paths) damage.happen(path);
  // For the rescue, what is not a directory does not exist either: its /var is then in memory.
  if (name == "" && std::filesystem::is_regular_file(state)) std::filesystem::remove(state);

  const RescueResult result = machine.Rescue().value();
  CHECK_FALSE(result.version.empty());
  machine.Repair();
  const std::string version = machine.Boot();
  CHECK((version == "1.0.0" || version == "1.1.0"));
  CHECK(version == result.version);
  CHECK_FALSE(machine.boot.Read()->on_trial());
}

TEST_CASE("what a later version wrote is in the rescue's way no more") {
  Wreck machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  machine.Sink({"1.0.0", "1.1.0"});
  WriteNextFormat(machine.state.path());
  machine.disk.content[1].reset();
  CHECK(machine.Rescue().value().version == "1.1.0");
  machine.Repair();
  CHECK(machine.Boot() == "1.1.0");
}

TEST_CASE("a self-test that never came to its end is in no rescue's way") {
  Wreck machine;
  machine.Sink({"1.0.0"});
  Record record = machine.state.record().Load().value();
  record.selftest = SelfTest{.version = "1.0.0", .boot_id = "boot-1"};
  REQUIRE(machine.state.record().Save(record));
  machine.disk.content[0].reset();
  CHECK(machine.Rescue().value().version == "1.0.0");
  machine.Repair();
  CHECK(machine.Boot() == "1.0.0");
}

TEST_CASE("a release whose commit is lost is installed again by what its slot claims to be") {
  Wreck machine;
  REQUIRE(machine.Update());  // it is newer, and fails
  machine.Sink({"1.0.0", "1.1.0"});
  std::filesystem::remove_all(machine.state.path() + "/commits");
  WriteText(machine.Etc("1.0.0") + "/site.conf", "of what was in its slot");
  WriteText(machine.Etc("1.1.0") + "/site.conf", "of what failed");
  SECTION("where its publisher still has it") {
    CHECK(machine.Rescue().value().version == "1.0.0");
    machine.Repair();
    CHECK(machine.Boot() == "1.0.0");
  }
  SECTION("else the newest takes its place, if it was not given up here") {
    machine.source.gone.insert("1.0.0");
    CHECK_THAT(machine.Rescue().error().message,
               Catch::Matchers::StartsWith("no release 1.0.0; and the newest release: 1.1.0"));
    machine.source.Publish("1.2.0", 3000, {"kernel 3"});
    CHECK(machine.Rescue().value().version == "1.2.0");
    machine.Repair();
    CHECK(machine.Boot() == "1.2.0");
    CHECK(ReadText(machine.Etc("1.2.0") + "/site.conf") == "of what was in its slot");
  }
}

TEST_CASE("on a state partition without room the rescue gives a whole slot its tries back") {
  Wreck machine;
  machine.Sink({"1.0.0"});
  {
    const FullDisk full;
    CHECK(machine.Rescue().value().end == RescueEnd::kIndeterminate);
  }
  machine.Repair();
  CHECK(machine.Boot() == "1.0.0");
}

TEST_CASE("what the rescue installs again has its own /etc, whatever is in the other slot") {
  Wreck machine;
  std::string version = "1.0.0";
  SECTION("nothing is in the other slot") {}
  SECTION("what an interrupted update left is in the other slot") {
    machine.CutPowerAt(6);
    CHECK_THROWS_AS(machine.Update(), PowerCut);
    REQUIRE(machine.Boot() == "1.0.0");
    REQUIRE(machine.state.record().Load()->update);
  }
  SECTION("a release that fails its trial is in the other slot") {
    REQUIRE(machine.Update());
  }
  SECTION("the release before it is in the other slot") {
    REQUIRE(machine.Update());
    REQUIRE(machine.Boot() == "1.1.0");
    version = "1.1.0";
  }
  WriteText(machine.Etc(version) + "/kubernetes/kubelet.conf", "its own");
  machine.Sink({"1.0.0", "1.1.0"});
  machine.disk.content[version == "1.0.0" ? 0 : 1].reset();
  REQUIRE(machine.Rescue().value().version == version);
  machine.Repair();
  CHECK(machine.Boot() == version);
  CHECK(ReadText(machine.Etc(version) + "/kubernetes/kubelet.conf") == "its own");
}

TEST_CASE("what the rescue installs where no commit is kept has the /etc of what was there") {
  Wreck machine;
  WriteText(machine.Etc("1.0.0") + "/kubernetes/kubelet.conf", "its own");
  machine.Sink({"1.0.0"});
  machine.disk.content[0].reset();
  REQUIRE(machine.state.ForgetExcept({}));
  const std::string version = machine.Rescue().value().version;  // the same version or a newer one
  machine.Repair();
  CHECK(machine.Boot() == version);
  CHECK(ReadText(machine.Etc(version) + "/kubernetes/kubelet.conf") == "its own");
}

TEST_CASE("a system that runs from a slot is no rescue system") {
  Machine machine;
  NoProgress progress;
  CHECK(Rescue(machine.world, machine.config, progress).error().code == Code::kNotSupported);
}

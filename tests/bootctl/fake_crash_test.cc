// Power cut in every durable step of every verb, in every way a step can be left, in memory.
#include <catch2/generators/catch_generators.hpp>

#include "tests/bootctl/disk_machine.h"
#include "tests/bootctl/outcome.h"
#include "tests/fakes/fake_boot_control.h"

namespace hostos {
namespace {

using Cut = FakeBootControl::Cut;

struct FakeLife {
  TestImage v10{"1.0.0"}, v11{"1.1.0"};
  FakeBootControl boot{v10.release};

  Result<> Arm() { return boot.Arm(Slot::B, v11.release, v11.fd.get(), 3); }
};

// Whatever boots is a whole release in the slot that holds it, and the release that was running
// still boots once the other is out of tries.
void CheckBootsWhole(FakeLife& life) {
  const Slot slot = Held(life.boot.Boot());
  const BootState state = Held(life.boot.Read());
  CHECK(state.staying() == slot);
  CHECK(state.slot(slot).root_hash == state.release()->root_hash);
}

// Cuts in step 1, 2, ... of what `verb` does after `prepare`, until it needs no further step; each
// time the machine must boot, the verb must succeed when it is repeated, and `check` must hold.
template <class Prepare, class Verb, class Check>
void CutEverywhere(Prepare prepare, Verb verb, Check check) {
  const Cut cut = GENERATE(Cut::kLost, Cut::kDone, Cut::kBothNames, Cut::kNeitherName);
  size_t cuts = 0;
  for (size_t step = 1;; step++) {
    CAPTURE(step, static_cast<int>(cut));
    REQUIRE(step < 100);
    FakeLife life;
    prepare(life);
    life.boot.CutPowerAt(step, cut);
    if (verb(life)) break;  // it was done before the power was cut
    CHECK_FALSE(life.boot.powered());
    CHECK_FALSE(life.boot.Read());
    CheckBootsWhole(life);
    check(life);
    cuts++;
  }
  CHECK(cuts > 0);
}

TEST_CASE("power cut while arming leaves the old release or the whole new one") {
  CutEverywhere([](FakeLife&) {}, [](FakeLife& life) { return life.Arm(); },
                [](FakeLife& life) {
                  if (Held(life.boot.Read()).staying() == Slot::B) return;
                  CHECK(Outcome(life.Arm()) == "ok");
                  CHECK(Held(life.boot.Boot()) == Slot::B);
                });
}

TEST_CASE("power cut while invalidating leaves the slot whole or without an entry") {
  CutEverywhere([](FakeLife& life) { REQUIRE(life.Arm()); },
                [](FakeLife& life) { return life.boot.Invalidate(Slot::B); },
                [](FakeLife& life) {
                  if (Held(life.boot.Read()).staying() == Slot::B) return;
                  CHECK(Held(life.boot.Read()).EntryOf(Slot::B) == nullptr);
                  CHECK(Outcome(life.boot.Invalidate(Slot::B)) == "ok");
                  CHECK(Held(life.boot.Read()).slot(Slot::B).label == "_empty");
                });
}

TEST_CASE("power cut while blessing leaves a release on trial or blessed, or falls back") {
  CutEverywhere(
      [](FakeLife& life) {
        REQUIRE(life.Arm());
        REQUIRE(Held(life.boot.Boot()) == Slot::B);
      },
      [](FakeLife& life) { return life.boot.MarkGood(); },
      [](FakeLife& life) {
        const BootState state = Held(life.boot.Read());
        if (state.staying() == Slot::A) {  // neither name was left
          CHECK(state.EntryOf(Slot::B) == nullptr);
          return;
        }
        CHECK(Outcome(life.boot.MarkGood()) == "ok");
        CHECK_FALSE(Held(life.boot.Read()).on_trial());
        CHECK(Held(life.boot.Read()).entries.size() == 2);
      });
}

TEST_CASE("power cut while marking bad never gives a release a try more") {
  CutEverywhere(
      [](FakeLife& life) {
        REQUIRE(life.Arm());
        REQUIRE(Held(life.boot.Boot()) == Slot::B);
      },
      [](FakeLife& life) { return life.boot.MarkBad(Slot::B); },
      [](FakeLife& life) {
        CHECK(Outcome(life.boot.MarkBad(Slot::B)) == "ok");
        const BootState state = Held(life.boot.Read());
        CHECK(state.next() == Slot::A);
        CHECK(state.entries.size() <= 2);
      });
}

TEST_CASE("power cut while a self-test is written or removed never changes what boots") {
  const bool remove = GENERATE(false, true);
  CutEverywhere(
      [&](FakeLife& life) {
        if (remove) REQUIRE(life.boot.AddSelfTest());
      },
      [&](FakeLife& life) { return remove ? life.boot.RemoveSelfTest() : life.boot.AddSelfTest(); },
      [](FakeLife& life) {
        CHECK(Held(life.boot.Read()).staying() == Slot::A);
        CHECK(Outcome(life.boot.RemoveSelfTest()) == "ok");
        CHECK(Held(life.boot.Read()).entries.size() == 1);
      });
}

TEST_CASE("power cut while a rescue is replaced leaves a whole one, in every way a step is left") {
  const TestImage old("rescue"), newer("rescue-2");
  auto set = [](FakeLife& life, const TestImage& image) {
    return life.boot.SetRescue(image.rescue(), image.fd.get());
  };
  CutEverywhere([&](FakeLife& life) { REQUIRE(set(life, old)); },
                [&](FakeLife& life) { return set(life, newer); },
                [&](FakeLife& life) {
                  const BootState state = Held(life.boot.Read());
                  CHECK(state.staying() == Slot::A);
                  CHECK(state.Rescue() != nullptr);
                  CHECK(Outcome(set(life, newer)) == "ok");
                  CHECK(Held(life.boot.HashRescue()) == newer.rescue().digest);
                  CHECK(Held(life.boot.Read()).entries.size() == 2);
                });
}

TEST_CASE("a loader that cannot count never leaves a release that does not start") {
  FakeLife life;
  REQUIRE(life.Arm());
  life.boot.esp_read_only = true;
  life.boot.broken.insert(life.v11.release.root_hash);
  CHECK(Outcome(life.boot.Boot()).contains("never reaches userspace"));
}

TEST_CASE("the fake tells every durable step before it happens") {
  FakeLife life;
  std::vector<std::string> steps;
  life.boot.step = [&](const char* name) { steps.emplace_back(name); };
  REQUIRE(life.Arm());
  CHECK(steps == std::vector<std::string>{"name the slot's partitions", "write the boot image",
                                          "rename a boot entry"});
  REQUIRE(Held(life.boot.Boot()) == Slot::B);
  CHECK(life.boot.started().size() == 1);
}

TEST_CASE("the fake's ESP fills up") {
  FakeLife life;
  life.boot.esp.size = life.v10.release.uki_size + life.v11.release.uki_size;
  CHECK(CodeOf(life.Arm()) == Code::kNoSpace);
  CHECK(Held(life.boot.Read()).slot(Slot::B).label == "_empty");
}

}  // namespace
}  // namespace hostos

// What every BootControl promises, told as lives of a machine, on files by SystemdBoot and in
// memory by the fake: what the fake says in other tests is what the real one does.
#include <catch2/catch_template_test_macros.hpp>

#include "bootctl/entry_name.h"
#include "tests/bootctl/disk_machine.h"
#include "tests/bootctl/outcome.h"
#include "tests/fakes/fake_boot_control.h"

namespace hostos {
namespace {

class RealMachine {
 public:
  explicit RealMachine(const TestImage& running) : machine_(running) {}
  BootControl& boot() { return machine_.boot(); }
  Result<Slot> Boot() { return machine_.Boot(); }
  void Break(const Release& release) { machine_.broken.insert(release.root_hash); }

 private:
  DiskMachine machine_;
};

class FakeMachine {
 public:
  explicit FakeMachine(const TestImage& running) : fake_(running.release) {}
  BootControl& boot() { return fake_; }
  Result<Slot> Boot() { return fake_.Boot(); }
  void Break(const Release& release) { fake_.broken.insert(release.root_hash); }

 private:
  FakeBootControl fake_;
};

// Everything a verb could change, for "nothing was changed".
std::string Describe(const BootState& state) {
  std::string text =
      std::format("runs {} {}\n", Name(state.staying()), state.release()->root_hash.Hex());
  for (const SlotState& slot : state.slots)
    text += std::format("slot {} {}\n", slot.label, slot.root_hash ? slot.root_hash->Hex() : "-");
  for (const BootEntry& entry : state.entries) text += std::format("entry {}\n", entry.file);
  return text;
}

template <class Machine>
struct Life {
  TestImage v09{"0.9.0"}, v10{"1.0.0"}, v11{"1.1.0"}, v12{"1.2.0"};
  Machine machine{v10};

  BootState State() { return Held(machine.boot().Read()); }
  std::string Arm(Slot slot, const TestImage& image, uint32_t tries = 3) {
    return Outcome(machine.boot().Arm(slot, image.release, image.fd.get(), tries));
  }
  std::string First() { return State().entries.front().file; }
};

std::string FileOf(const TestImage& image, const std::string& counter) {
  return "hostos_" + image.release.version + "_" + image.release.root_hash.Short() + counter +
         ".efi";
}

TEMPLATE_TEST_CASE("a fresh machine runs slot A, blessed", "", RealMachine, FakeMachine) {
  Life<TestType> life;
  const BootState state = life.State();
  CHECK(state.staying() == Slot::A);
  CHECK(state.release()->root_hash == life.v10.release.root_hash);
  CHECK(state.booted_entry == FileOf(life.v10, ""));
  CHECK_FALSE(state.on_trial());
  CHECK(state.next() == Slot::A);
  CHECK(state.slot(Slot::B).label == "_empty");
  CHECK(state.slot(Slot::B).root_hash == std::nullopt);
  CHECK(state.EntryOf(Slot::A)->version == "1.0.0");
  CHECK(state.EntryOf(Slot::B) == nullptr);
}

TEMPLATE_TEST_CASE("an armed release boots next, is counted, and blessed stays", "", RealMachine,
                   FakeMachine) {
  Life<TestType> life;
  REQUIRE(life.Arm(Slot::B, life.v11) == "ok");
  BootState state = life.State();
  CHECK(state.staying() == Slot::A);
  CHECK(state.next() == Slot::B);
  CHECK(state.slot(Slot::B).label == "hostos_1.1.0");
  CHECK(state.slot(Slot::B).root_hash == life.v11.release.root_hash);
  CHECK(state.EntryOf(Slot::B)->file == FileOf(life.v11, "+3"));

  CHECK(Held(life.machine.Boot()) == Slot::B);
  state = life.State();
  CHECK(state.staying() == Slot::B);
  CHECK(state.booted_entry == FileOf(life.v11, "+2-1"));
  CHECK(state.on_trial());

  CHECK(Outcome(life.machine.boot().MarkGood()) == "ok");
  state = life.State();
  CHECK(state.booted_entry == FileOf(life.v11, ""));
  CHECK_FALSE(state.on_trial());
  CHECK(Outcome(life.machine.boot().MarkGood()) == "ok");  // idempotent
  CHECK(Describe(life.State()) == Describe(state));
  for (int boot = 0; boot < 4; boot++) CHECK(Held(life.machine.Boot()) == Slot::B);
}

TEMPLATE_TEST_CASE("a blessed release can be counted again, and falls back like a new one", "",
                   RealMachine, FakeMachine) {
  Life<TestType> life;
  CHECK(CodeOf(life.machine.boot().MarkIndeterminate(Slot::B, 3)) == Code::kNotFound);
  CHECK(Outcome(life.machine.boot().MarkGoodIfUntried(Slot::B)) == "ok");
  REQUIRE(life.Arm(Slot::B, life.v11) == "ok");
  CHECK(Held(life.machine.Boot()) == Slot::B);
  CHECK(Outcome(life.machine.boot().MarkGoodIfUntried(Slot::B)) == "ok");
  CHECK(life.First() == FileOf(life.v11, "+2-1"));
  CHECK(Outcome(life.machine.boot().MarkGood()) == "ok");
  CHECK(Outcome(life.machine.boot().MarkIndeterminate(Slot::A, 3)) == "ok");
  CHECK(life.State().EntryOf(Slot::A)->file == FileOf(life.v10, "+3"));
  CHECK(life.First() == FileOf(life.v11, ""));
  CHECK(Outcome(life.machine.boot().MarkGoodIfUntried(Slot::A)) == "ok");
  CHECK(life.State().EntryOf(Slot::A)->file == FileOf(life.v10, ""));
  CHECK(Outcome(life.machine.boot().MarkIndeterminate(Slot::B, 2)) == "ok");
  CHECK(life.First() == FileOf(life.v11, "+2"));
  CHECK(life.State().on_trial());
  CHECK(Held(life.machine.Boot()) == Slot::B);
  CHECK(life.First() == FileOf(life.v11, "+1-1"));

  life.machine.Break(life.v11.release);
  CHECK(Held(life.machine.Boot()) == Slot::A);
  CHECK(life.State().EntryOf(Slot::B)->exhausted());
}

TEMPLATE_TEST_CASE(
    "a release that never reaches userspace is tried as often as armed, then the old "
    "one boots",
    "", RealMachine, FakeMachine) {
  Life<TestType> life;
  life.machine.Break(life.v11.release);
  REQUIRE(life.Arm(Slot::B, life.v11, 2) == "ok");
  CHECK(Held(life.machine.Boot()) == Slot::A);
  const BootState state = life.State();
  CHECK(state.staying() == Slot::A);
  CHECK(state.booted_entry == FileOf(life.v10, ""));
  CHECK_FALSE(state.on_trial());
  CHECK(state.EntryOf(Slot::B)->file == FileOf(life.v11, "+0-2"));
  CHECK(state.next() == Slot::A);
}

TEMPLATE_TEST_CASE("a release marked bad while it runs is not booted again", "", RealMachine,
                   FakeMachine) {
  Life<TestType> life;
  REQUIRE(life.Arm(Slot::B, life.v11) == "ok");
  CHECK(Held(life.machine.Boot()) == Slot::B);
  for (int twice = 0; twice < 2; twice++) {
    CHECK(Outcome(life.machine.boot().MarkBad(Slot::B)) == "ok");
    CHECK(life.State().EntryOf(Slot::B)->file == FileOf(life.v11, "+0-1"));
    CHECK(life.State().next() == Slot::A);
  }
  CHECK(Held(life.machine.Boot()) == Slot::A);
  CHECK(Outcome(life.machine.boot().MarkBad(Slot::B)) == "ok");
}

TEMPLATE_TEST_CASE("a blessed release can be marked bad, for a rollback", "", RealMachine,
                   FakeMachine) {
  Life<TestType> life;
  REQUIRE(life.Arm(Slot::B, life.v11) == "ok");
  CHECK(Held(life.machine.Boot()) == Slot::B);
  CHECK(Outcome(life.machine.boot().MarkGood()) == "ok");
  CHECK(Outcome(life.machine.boot().MarkBad(Slot::B)) == "ok");
  CHECK(life.State().EntryOf(Slot::B)->file == FileOf(life.v11, "+0"));
  CHECK_FALSE(life.State().on_trial());  // it passed its trial, and is given up
  CHECK(Held(life.machine.Boot()) == Slot::A);
}

TEMPLATE_TEST_CASE("the only release that boots cannot be marked bad", "", RealMachine,
                   FakeMachine) {
  Life<TestType> life;
  const std::string before = Describe(life.State());
  CHECK_FALSE(life.machine.boot().MarkBad(Slot::A));
  CHECK(Describe(life.State()) == before);
  CHECK(Outcome(life.machine.boot().MarkBad(Slot::B)) == "ok");  // nothing boots it
  CHECK(Describe(life.State()) == before);
}

TEMPLATE_TEST_CASE("an invalidated slot has neither entry nor identity, and cannot be chosen", "",
                   RealMachine, FakeMachine) {
  Life<TestType> life;
  REQUIRE(life.Arm(Slot::B, life.v11) == "ok");
  for (int twice = 0; twice < 2; twice++) {
    CHECK(Outcome(life.machine.boot().Invalidate(Slot::B)) == "ok");
    const BootState state = life.State();
    CHECK(state.slot(Slot::B).label == "_empty");
    CHECK(state.slot(Slot::B).root_hash == std::nullopt);
    CHECK(state.EntryOf(Slot::B) == nullptr);
    CHECK(state.entries.size() == 1);
    CHECK(state.next() == Slot::A);
  }
  CHECK(Held(life.machine.Boot()) == Slot::A);
}

TEMPLATE_TEST_CASE("the running slot is neither invalidated nor armed", "", RealMachine,
                   FakeMachine) {
  Life<TestType> life;
  const std::string before = Describe(life.State());
  CHECK(CodeOf(life.machine.boot().Invalidate(Slot::A)) == Code::kNotSupported);
  CHECK(life.Arm(Slot::A, life.v11) == "slot A is running and cannot be armed");
  CHECK(Describe(life.State()) == before);
}

TEMPLATE_TEST_CASE("a release that would not boot next is refused before anything changes", "",
                   RealMachine, FakeMachine) {
  Life<TestType> life;
  const std::string before = Describe(life.State());
  const Result<> armed = life.machine.boot().Arm(Slot::B, life.v09.release, life.v09.fd.get(), 3);
  CHECK(CodeOf(armed) == Code::kNotSupported);
  CHECK(Outcome(armed).contains("0.9.0"));
  CHECK(Outcome(armed).contains("1.0.0"));
  CHECK(Describe(life.State()) == before);
}

TEMPLATE_TEST_CASE("a release the other slot holds is refused: one root hash in two slots", "",
                   RealMachine, FakeMachine) {
  Life<TestType> life;
  const std::string before = Describe(life.State());
  const Result<> armed = life.machine.boot().Arm(Slot::B, life.v10.release, life.v10.fd.get(), 3);
  CHECK(CodeOf(armed) == Code::kNotSupported);
  CHECK(Outcome(armed).contains("slot A holds 1.0.0 already"));
  CHECK(Describe(life.State()) == before);
}

TEMPLATE_TEST_CASE("an image with other bytes, or no tries, arms nothing", "", RealMachine,
                   FakeMachine) {
  Life<TestType> life;
  const std::string before = Describe(life.State());
  Release release = life.v11.release;
  release.uki_digest.bytes[31] ^= 1;
  CHECK(CodeOf(life.machine.boot().Arm(Slot::B, release, life.v11.fd.get(), 3)) ==
        Code::kNotTrusted);
  CHECK_FALSE(life.machine.boot().Arm(Slot::B, life.v11.release, life.v12.fd.get(), 3));
  release = life.v11.release;
  release.uki_size++;
  CHECK_FALSE(life.machine.boot().Arm(Slot::B, release, life.v11.fd.get(), 3));
  CHECK(life.Arm(Slot::B, life.v11, 0) == "1.1.0 needs at least one try");
  CHECK(Describe(life.State()) == before);
}

TEMPLATE_TEST_CASE("arming again gives the tries back, and changes nothing when none were spent",
                   "", RealMachine, FakeMachine) {
  Life<TestType> life;
  REQUIRE(life.Arm(Slot::B, life.v11) == "ok");
  const std::string armed = Describe(life.State());
  REQUIRE(life.Arm(Slot::B, life.v11) == "ok");
  CHECK(Describe(life.State()) == armed);
  REQUIRE(life.Arm(Slot::B, life.v11, 5) == "ok");
  CHECK(life.First() == FileOf(life.v11, "+5"));
  life.machine.Break(life.v11.release);
  CHECK(Held(life.machine.Boot()) == Slot::A);
  REQUIRE(life.Arm(Slot::B, life.v11) == "ok");
  CHECK(Describe(life.State()) == armed);
}

TEMPLATE_TEST_CASE("a staged release is superseded by a newer one", "", RealMachine, FakeMachine) {
  Life<TestType> life;
  REQUIRE(life.Arm(Slot::B, life.v11) == "ok");
  CHECK(Outcome(life.machine.boot().Invalidate(Slot::B)) == "ok");
  REQUIRE(life.Arm(Slot::B, life.v12) == "ok");
  CHECK(life.State().entries.size() == 2);
  CHECK(Held(life.machine.Boot()) == Slot::B);
  CHECK(life.State().release()->root_hash == life.v12.release.root_hash);
  CHECK(Outcome(life.machine.boot().MarkGood()) == "ok");
  // And back in slot A, from the other side.
  CHECK(Outcome(life.machine.boot().Invalidate(Slot::A)) == "ok");
  CHECK(CodeOf(life.machine.boot().Arm(Slot::A, life.v11.release, life.v11.fd.get(), 3)) ==
        Code::kNotSupported);
}

TEMPLATE_TEST_CASE("with both releases out of tries the newer one boots, and says it is on trial",
                   "", RealMachine, FakeMachine) {
  Life<TestType> life;
  REQUIRE(life.Arm(Slot::B, life.v11, 1) == "ok");
  CHECK(Held(life.machine.Boot()) == Slot::B);
  CHECK(Outcome(life.machine.boot().MarkBad(Slot::A)) == "ok");
  CHECK(Held(life.machine.Boot()) == Slot::B);
  CHECK(life.State().on_trial());
  CHECK(life.State().booted_entry == FileOf(life.v11, "+0-2"));
  CHECK(Outcome(life.machine.boot().MarkGood()) == "ok");
  CHECK(life.First() == FileOf(life.v11, ""));
}

TEMPLATE_TEST_CASE("a rescue takes the place of the one before, and sorts after the releases", "",
                   RealMachine, FakeMachine) {
  Life<TestType> life;
  const TestImage old("rescue"), newer("rescue-2");
  CHECK(CodeOf(life.machine.boot().HashRescue()) == Code::kNotFound);
  CHECK(life.State().Rescue() == nullptr);
  for (const TestImage* image : {&old, &newer, &newer, &old}) {
    CHECK(Outcome(life.machine.boot().SetRescue(image->rescue(), image->fd.get())) == "ok");
    const BootState state = life.State();
    REQUIRE(state.entries.size() == 2);
    REQUIRE(state.Rescue() == &state.entries[1]);
    CHECK(state.Rescue()->file == RescueFile(image->rescue().digest));
    CHECK(state.Rescue()->version == image->release.version);
    CHECK(state.Rescue()->size == image->rescue().size);
    CHECK(state.esp.unknown.empty());
    CHECK(Held(life.machine.boot().HashRescue()) == image->rescue().digest);
  }
  // No verb takes it for a release's.
  REQUIRE(life.Arm(Slot::B, life.v11) == "ok");
  CHECK(Outcome(life.machine.boot().Invalidate(Slot::B)) == "ok");
  CHECK(Outcome(life.machine.boot().RemoveTemporaries()) == "ok");
  CHECK(life.State().Rescue()->file == RescueFile(old.rescue().digest));
  CHECK(Held(life.machine.Boot()) == Slot::A);
}

TEMPLATE_TEST_CASE("what is not the rescue that was named changes nothing", "", RealMachine,
                   FakeMachine) {
  Life<TestType> life;
  const TestImage old("rescue"), newer("rescue-2");
  REQUIRE(Outcome(life.machine.boot().SetRescue(old.rescue(), old.fd.get())) == "ok");
  const std::string before = Describe(life.State());
  const RescueImage release{life.v11.release.uki_digest, life.v11.release.uki_size};
  CHECK(CodeOf(life.machine.boot().SetRescue(release, life.v11.fd.get())) == Code::kNotTrusted);
  RescueImage other = newer.rescue();
  other.digest.bytes[31] ^= 1;
  CHECK(CodeOf(life.machine.boot().SetRescue(other, newer.fd.get())) == Code::kNotTrusted);
  other = newer.rescue();
  other.size++;
  CHECK_FALSE(life.machine.boot().SetRescue(other, newer.fd.get()));
  CHECK(Describe(life.State()) == before);
}

TEMPLATE_TEST_CASE("a self-test boots what runs by an entry of its own, twice, then by the usual",
                   "", RealMachine, FakeMachine) {
  Life<TestType> life;
  const std::string usual = FileOf(life.v10, ""), test = "loader/entries/hostos-selftest";
  for (int twice = 0; twice < 2; twice++)
    REQUIRE(Outcome(life.machine.boot().AddSelfTest()) == "ok");
  CHECK(life.First() == test + "+2.conf");
  for (const std::string& counter : {std::string("+1-1"), std::string("+0-2")}) {
    CHECK(Held(life.machine.Boot()) == Slot::A);
    const BootState state = life.State();
    CHECK(state.booted_entry == test + counter + ".conf");
    CHECK(state.selftest == std::vector{state.booted_entry});
    CHECK(state.release()->root_hash == life.v10.release.root_hash);
    CHECK(state.next() == Slot::A);
    CHECK_FALSE(state.on_trial());
    CHECK(state.EntryOf(Slot::A)->file == usual);
    CHECK(state.EntryOf(Slot::A)->tries == std::nullopt);
  }
  CHECK(Held(life.machine.Boot()) == Slot::A);
  CHECK(life.State().booted_entry == usual);
  CHECK(life.State().selftest == std::vector{test + "+0-2.conf"});
  for (int twice = 0; twice < 2; twice++) {
    CHECK(Outcome(life.machine.boot().RemoveSelfTest()) == "ok");
    CHECK(life.State().selftest.empty());
    CHECK(life.State().entries.size() == 1);
  }
}

TEMPLATE_TEST_CASE("no verb takes the entry of a self-test for a release's own", "", RealMachine,
                   FakeMachine) {
  Life<TestType> life;
  REQUIRE(Outcome(life.machine.boot().AddSelfTest()) == "ok");
  CHECK(Held(life.machine.Boot()) == Slot::A);
  const std::string before = Describe(life.State());
  CHECK(Outcome(life.machine.boot().MarkGood()) == "ok");
  CHECK(Outcome(life.machine.boot().Invalidate(Slot::B)) == "ok");
  CHECK(Outcome(life.machine.boot().MarkBad(Slot::A)).contains("would boot next all the same"));
  CHECK(Describe(life.State()) == before);
  REQUIRE(life.Arm(Slot::B, life.v11) == "ok");
  CHECK(life.State().next() == Slot::B);
}

TEMPLATE_TEST_CASE("a self-test that would prove nothing is refused before anything changes", "",
                   RealMachine, FakeMachine) {
  Life<TestType> life;
  REQUIRE(life.Arm(Slot::B, life.v11) == "ok");
  std::string before = Describe(life.State());
  Result<> refused = life.machine.boot().AddSelfTest();  // another release boots next
  CHECK(CodeOf(refused) == Code::kNotSupported);
  CHECK(Outcome(refused).contains(FileOf(life.v11, "+3")));
  CHECK(Describe(life.State()) == before);

  CHECK(Held(life.machine.Boot()) == Slot::B);
  before = Describe(life.State());
  refused = life.machine.boot().AddSelfTest();  // what runs is on trial
  CHECK(CodeOf(refused) == Code::kNotSupported);
  CHECK(Outcome(refused).contains(FileOf(life.v11, "+2-1")));
  CHECK(Describe(life.State()) == before);
}

}  // namespace
}  // namespace hostos

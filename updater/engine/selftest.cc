#include "updater/engine/selftest.h"

#include <algorithm>

#include "updater/engine/releases.h"
#include "updater/engine/view.h"

namespace hostos {
namespace {

// The counter of the self-test's entry: as written, then after each boot. In the last boot no try
// is left, and the loader takes another entry.
constexpr Tries kCounters[kSelfTestBoots + 1] = {{2, 0}, {1, 1}, {0, 2}, {0, 2}};

std::string Names(const std::vector<std::string>& files) {
  std::string names;
  for (const std::string& file : files)
    names += (names.empty() ? "" : ", ") + file.substr(file.rfind('/') + 1);
  return names.empty() ? "no entry" : names;
}

// How boot `number`, counted from 1, differs from what it has to be; "" when it does not.
std::string Difference(const BootState& boot, uint32_t number) {
  const bool last = number == kSelfTestBoots;
  const std::string test = SelfTestFile(kCounters[number]);
  const BootEntry* usual = boot.EntryOf(boot.staying());
  const std::string expected = !last ? test : usual ? usual->file : "";
  const std::string& started = boot.booted_entry;
  std::string text = std::format("boot {} of {}: ", number, kSelfTestBoots);
  if (started.empty()) return text + "the boot loader does not say which entry it started";
  if (started == expected) {
    if (boot.selftest == std::vector{test}) return "";
    return text + std::format("expected {}, found {}", Names({test}), Names(boot.selftest));
  }
  if (last && IsSelfTestFile(started)) text += "the loader does not fall back: ";
  if (!last && started == SelfTestFile(kCounters[number - 1]))
    text += "the loader does not count: ";
  return text + std::format("expected {}, found {}", Names({expected}), Names({started}));
}

}  // namespace

Result<> BeginSelfTest(World& world) {
  Lock lock = TRY(world.state.TryLock("hostctl boot selftest", world.clock.Now()));
  View view = TRY(Look(world));
  if (view.running.on_trial || view.record.update)
    return Fail(Code::kBusy,
                "a self-test of the boot loader has to wait: an update is in progress, staged or "
                "on trial");
  view.record.selftest =
      SelfTest{.version = TRY(IdentifySlot(world, view.boot, view.running.slot)).version,
               .time = world.clock.Now(),
               .boot_id = view.boot_id};
  // The entry first: the next gate removes an entry without a record, but a record without an entry
  // would blame the loader.
  Result<> begun = world.boot.AddSelfTest();
  if (begun) begun = world.state.record().Save(view.record);
  if (!begun) (void)world.boot.RemoveSelfTest();  // the first error says more
  return begun;
}

Result<> CancelSelfTest(World& world) {
  Lock lock = TRY(world.state.TryLock("hostctl boot selftest --cancel", world.clock.Now()));
  View view = TRY(Look(world));
  return EndSelfTest(world, view.record);
}

Result<> EndSelfTest(World& world, Record& record) {
  if (record.SelfTesting()) {
    record.selftest.reset();
    TRY(world.state.record().Save(record));
  }
  return world.boot.RemoveSelfTest();
}

Result<std::optional<SelfTest>> ContinueSelfTest(World& world, Record& record,
                                                 const BootState& boot,
                                                 const std::string& boot_id) {
  if (!record.SelfTesting()) {
    if (!boot.selftest.empty()) TRY(world.boot.RemoveSelfTest());
    return std::nullopt;
  }
  SelfTest& test = *record.selftest;
  if (test.boot_id == boot_id) return std::nullopt;
  test.boot_id = boot_id;
  test.boots = std::min(test.boots, kSelfTestBoots - 1) + 1;
  test.reason = Difference(boot, test.boots);
  if (!test.reason.empty())
    test.state = SelfTestState::kFailed;
  else if (test.boots == kSelfTestBoots)
    test.state = SelfTestState::kPassed;
  if (!record.SelfTesting()) test.time = world.clock.Now();

  const Result<> saved = world.state.record().Save(record);
  if (saved && record.SelfTesting()) {
    TRY(world.power.Reboot());
    return test;
  }
  TRY(world.boot.RemoveSelfTest());
  TRY(saved);
  return test;
}

}  // namespace hostos

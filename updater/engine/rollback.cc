#include "updater/engine/rollback.h"

#include "updater/engine/releases.h"
#include "updater/engine/selftest.h"

namespace hostos {

Result<ReleaseId> GoodOther(World& world, const View& view) {
  const Slot slot = view.boot.target();
  const BootEntry* entry = view.boot.EntryOf(slot);
  if (!entry || entry->tries)
    return Fail(Code::kNotFound, "slot {} holds no release that was once good: {}", Name(slot),
                entry ? entry->version + " never passed its trial" : "it has no boot entry");
  return IdentifySlot(world, view.boot, slot);
}

Result<> GiveUpRunning(World& world, View& view, const ReleaseId& other, Outcome outcome,
                       const std::string& reason, const std::string& output) {
  TRY(EndSelfTest(world, view.record));  // its entry boots what is given up
  const Slot running = view.running.slot;
  const ReleaseId current = TRY(IdentifySlot(world, view.boot, running));
  const Record before = view.record;

  // The record first: once the boot entry changed, nothing else tells that this release was given
  // up.
  const uint64_t now = world.clock.Now();
  view.record.update.reset();
  view.record.GiveUp({outcome, now, current, other.version, running, 0, reason, output});
  TRY(world.state.record().Save(view.record));
  if (Result<> flipped = world.boot.MarkBad(running); !flipped) {
    TRY(world.state.record().Save(before));
    return std::unexpected(flipped.error());
  }
  return {};
}

bool CanFallBack(const BootState& boot) {
  const BootEntry* other = boot.EntryOf(boot.target());
  return other && !other->exhausted();
}

bool FlipIsMissing(const Record& record, const BootState& boot) {
  const RunningRelease* release = boot.release();
  if (!release || release->on_trial || record.history.empty()) return false;
  const HistoryEntry& last = record.history.back();
  const BootEntry* running = boot.EntryOf(release->slot);
  return (last.outcome == Outcome::kFellBack || last.outcome == Outcome::kRolledBack) &&
         last.release.root_hash == release->root_hash &&
         record.FindDenied(last.release.commit, last.release.root_hash) && running &&
         !running->tries && CanFallBack(boot);
}

Result<ReleaseId> Rollback(World& world, std::string_view reason) {
  Lock lock = TRY(world.state.TryLock("hostctl rollback", world.clock.Now()));
  View view = TRY(Look(world));
  const Slot running = view.running.slot;
  if (view.record.update && view.record.update->phase == Phase::kArmed) {
    view.record.update.reset();
    TRY(world.boot.MarkBad(Other(running)));
    TRY(world.state.record().Save(view.record));
    return IdentifySlot(world, view.boot, running);
  }
  ReleaseId other = TRY(GoodOther(world, view));
  const BootEntry* entry = view.boot.EntryOf(running);
  const bool before = entry && entry->exhausted() && view.boot.next() == Other(running);
  if (!before) TRY(GiveUpRunning(world, view, other, Outcome::kRolledBack, std::string(reason)));
  return other;
}

}  // namespace hostos

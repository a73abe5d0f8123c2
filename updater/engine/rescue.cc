#include "updater/engine/rescue.h"

#include <algorithm>
#include <ranges>

#include "updater/engine/releases.h"
#include "updater/engine/view.h"

namespace hostos {
namespace {

// A machine that keeps failing for a reason that is not on its disk is not worn out by trying.
constexpr Seconds kPause{300};

// The release that is asked for, or else the channel's newest: a release that nobody has any more
// must not be waited for.
Result<UpdatePlan> Reinstall(World& world, const Config& config, const UpdateOptions& options,
                             Progress& progress) {
  Result<UpdatePlan> asked = Update(world, config, options, progress);
  if (asked || !options.again || asked.error().code == Code::kBusy) return asked;
  progress.Begin("resolve", std::format("{}: {}; the newest instead", options.version.value_or("?"),
                                        asked.error().message));
  Result<UpdatePlan> newest = Update(world, config, {}, progress);
  if (newest) return newest;
  Error error = std::move(asked).error();
  error.message += "; and the newest release: " + newest.error().message;
  return std::unexpected(std::move(error));
}

}  // namespace

Slot SlotToRescue(const Record& record, const BootState& boot) {
  for (const HistoryEntry& entry : record.history | std::views::reverse) {
    if (entry.outcome != Outcome::kCommitted ||
        record.FindDenied(entry.release.commit, entry.release.root_hash))
      continue;
    for (Slot slot : {Slot::A, Slot::B})
      if (boot.slot(slot).root_hash == entry.release.root_hash) return slot;
    // It is in no slot while it is installed again: a rescue that was cut short goes on.
    if (record.update && record.update->target.commit == entry.release.commit)
      return record.update->slot;
  }
  // Installed with the disk: nothing is in the history of it.
  for (Slot slot : {Slot::A, Slot::B}) {
    const std::optional<Digest>& root_hash = boot.slot(slot).root_hash;
    const bool denied = std::ranges::contains(record.denied, root_hash,
                                              [](const Denied& d) { return d.release.root_hash; });
    if (root_hash && !denied) return slot;
  }
  return record.update ? record.update->slot : Slot::B;  // a rescue that was cut short goes on
}

Result<RescueResult> Rescue(World& world, const Config& config, Progress& progress) {
  // Held while it decides, waits and acts: nobody changes meanwhile what it looked at.
  std::optional<Lock> lock = TRY(world.state.TryLock("hostctl rescue", world.clock.Now()));
  View view{TRY(world.boot.Read()), {}, TRY(world.power.BootId())};
  if (!view.boot.rescue) return Fail(Code::kNotSupported, "this is not the rescue system");
  view.record = LoadRecord(world, view.boot);
  SettleAndExplain(world, view.record, view.boot, view.boot_id);
  (void)world.state.record().Save(
      view.record);  // it explains: without it a slot boots all the same

  const Slot slot = Other(view.boot.running);
  RescueResult result{.slot = slot};
  UpdateOptions options;
  const std::optional<Digest>& root_hash = view.boot.slot(slot).root_hash;
  if (const auto release = root_hash ? ReleaseOf(world, *root_hash) : std::nullopt) {
    const Result<> proven = ProveRelease(world, slot, *release, progress);
    if (proven) {
      progress.Begin("wait", std::format("slot {} is as signed: it is tried again in {} s",
                                         Name(slot), kPause.count()));
      world.clock.Sleep(kPause);
      // The entry first: a record of tries that it does not have would deny the release.
      TRY(world.boot.Recount(slot, config.tries));
      (void)RecordRecount(world, view, slot, IdOf(*release), IdOf(*release));  // only explains
      result.version = release->version;
      return result;
    }
    progress.Begin("reinstall", std::format("slot {}: {}", Name(slot), proven.error().message));
    options = {.version = release->version, .again = IdOf(*release)};
  } else if (root_hash) {
    // Its commit is not known any more, but what the slot claims to be, and may be again.
    const BootEntry* entry = view.boot.EntryOf(slot);
    options.again = ReleaseId{entry ? entry->version : "", {}, *root_hash};
    if (entry) options.version = entry->version;
  } else if (view.record.update) {
    const ReleaseId& target = view.record.update->target;
    options = {.version = target.version, .again = target};
  }
  lock.reset();  // Update takes it, and looks again
  const UpdatePlan plan = TRY(Reinstall(world, config, options, progress));
  result.end = RescueEnd::kReinstalled;
  result.version = plan.target.release.version;
  return result;
}

}  // namespace hostos

#include "updater/engine/rescue.h"

#include <algorithm>
#include <ranges>

#include "updater/engine/releases.h"
#include "updater/engine/view.h"

namespace hostos {
namespace {

// Pause before retrying an intact slot: if power is the cause, rebooting in a loop only wears the
// machine.
constexpr Seconds kPause{300};

// Installs the release that is asked for, else the channel's newest: the rescue must not wait for a
// release that nobody has any more.
Result<UpdatePlan> Reinstall(World& world, const Config& config, const UpdateOptions& options,
                             Progress& progress) {
  Result<UpdatePlan> asked = Update(world, config, options, progress);
  if (asked || !options.reinstall || asked.error().code == Code::kBusy) return asked;
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
    // While it is installed again it is in no slot: a rescue that was cut short goes on.
    if (record.update && record.update->target.commit == entry.release.commit)
      return record.update->slot;
  }
  // A release that was installed with the disk is not in the history.
  for (Slot slot : {Slot::A, Slot::B}) {
    const std::optional<Digest>& root_hash = boot.slot(slot).root_hash;
    const bool denied = std::ranges::contains(record.denied, root_hash,
                                              [](const Denied& d) { return d.release.root_hash; });
    if (root_hash && !denied) return slot;
  }
  return record.update ? record.update->slot : Slot::B;  // a rescue that was cut short goes on
}

Result<RescueResult> Rescue(World& world, const Config& config, Progress& progress) {
  // The lock is held during the decision, the pause and the act: nobody changes meanwhile what was
  // looked at.
  std::optional<Lock> lock = TRY(world.state.TryLock("hostctl rescue", world.clock.Now()));
  const BootState boot = TRY(world.boot.Read());
  if (boot.release()) return Fail(Code::kNotSupported, "this is not the rescue system");
  const std::string boot_id = TRY(world.power.BootId());
  Record record = LoadRecord(world, boot);
  SettleAndExplain(world, record, Reconcile(record, boot, boot_id), boot, boot_id);
  (void)world.state.record().Save(record);  // only explains: the slot boots without it too

  const Slot slot = boot.target();
  RescueResult result{.slot = slot};
  UpdateOptions options;
  const std::optional<Digest>& root_hash = boot.slot(slot).root_hash;
  if (const auto release = root_hash ? ReleaseOf(world, *root_hash) : std::nullopt) {
    const Result<> proven = ProveRelease(world, slot, *release, progress);
    if (proven) {
      progress.Begin("wait", std::format("slot {} is as signed: it is tried again in {} s",
                                         Name(slot), kPause.count()));
      world.clock.Sleep(kPause);
      // The entry first: a recorded re-count without its tries would deny the release.
      TRY(world.boot.MarkIndeterminate(slot, config.tries));
      (void)RecordRecount(world, record, boot_id, slot, IdOf(*release),
                          IdOf(*release));  // only explains
      result.version = release->version;
      return result;
    }
    progress.Begin("reinstall", std::format("slot {}: {}", Name(slot), proven.error().message));
    options = {.version = release->version, .reinstall = IdOf(*release)};
  } else if (root_hash) {
    // The commit is not known any more. The boot entry and the partitions still say what the slot
    // claims to hold, so that release may be installed again.
    const BootEntry* entry = boot.EntryOf(slot);
    options.reinstall = ReleaseId{entry ? entry->version : "", {}, *root_hash};
    if (entry) options.version = entry->version;
  } else if (record.update) {
    const ReleaseId& target = record.update->target;
    options = {.version = target.version, .reinstall = target};
  }
  lock.reset();  // Update() takes it, and looks again
  const UpdatePlan plan = TRY(Reinstall(world, config, options, progress));
  result.end = RescueEnd::kReinstalled;
  result.version = plan.target.release.version;
  return result;
}

}  // namespace hostos

#include "updater/engine/reconcile.h"

#include <algorithm>

namespace hostos {
namespace {

// The target's own boot entry; null when it is gone, or the slot holds another release by now.
const BootEntry* TargetEntry(const UpdateRecord& update, const BootState& boot) {
  const BootEntry* entry = boot.EntryOf(update.slot);
  return entry && entry->root_hash == update.target.root_hash ? entry : nullptr;
}

uint32_t Boots(const UpdateRecord& update, const BootState& boot) {
  const BootEntry* entry = TargetEntry(update, boot);
  auto seen = static_cast<uint32_t>(update.attempts.size());
  return entry && entry->tries ? std::max(entry->tries->done, seen) : seen;
}

std::string FallbackReason(const UpdateRecord& update, uint32_t boots) {
  if (!update.failure.empty()) return update.failure;
  std::string times = std::format("{} boot{}", boots, boots == 1 ? "" : "s");
  if (update.attempts.empty())
    return std::format("did not reach its health gate in {}: kernel, initrd or early boot failed",
                       times);
  return std::format("its health gate came to no verdict in {}: it hung, crashed or lost power",
                     times);
}

void FinishCommit(Record& record, uint32_t boots, uint64_t now) {
  const UpdateRecord& update = *record.update;
  record.Allow(update.target);
  if (update.was_good) return record.update.reset();
  // A timestamp ahead of the last check does not become the floor: the publisher's clock ran ahead,
  // and later releases must not be refused for it.
  if (update.timestamp <= record.checked)
    record.time_floor = std::max(record.time_floor, update.timestamp);
  record.index_floor = std::max(record.index_floor, update.index);
  record.known = update.failed_before;
  record.AddHistory({Outcome::kCommitted, now, update.target, update.from.version, update.slot,
                     boots, "", "", update.traffic});
  record.update.reset();
}

void FinishFallback(Record& record, uint32_t boots, uint64_t now) {
  const UpdateRecord& update = *record.update;
  record.GiveUp({Outcome::kFellBack, now, update.target, update.from.version, update.slot, boots,
                 FallbackReason(update, boots), update.failure_output, update.traffic});
  record.update.reset();
}

}  // namespace

const char* Name(Situation situation) {
  static constexpr const char* kNames[] = {"idle",     "interrupted", "staged",    "not-tried",
                                           "on-trial", "passed",      "fell-back", "vanished"};
  return kNames[static_cast<int>(situation)];
}

Situation Reconcile(const Record& record, const BootState& boot, const std::string& boot_id) {
  if (!record.update) return Situation::kIdle;
  const UpdateRecord& update = *record.update;
  const RunningRelease* running = boot.release();
  if (running && running->slot == update.slot && running->root_hash == update.target.root_hash)
    return running->on_trial ? Situation::kOnTrial : Situation::kPassed;

  const BootEntry* entry = TargetEntry(update, boot);
  // The rename that arms can be on the disk before the record of it.
  bool armed = update.phase == Phase::kArmed || update.phase == Phase::kTrial ||
               (update.phase == Phase::kArm && entry);
  if (!armed) return Situation::kInterrupted;
  if (!update.attempts.empty()) return Situation::kFellBack;
  if (!entry) return Situation::kVanished;
  if (update.armed_boot_id == boot_id) return Situation::kStaged;
  if (entry->tries && entry->tries->done == 0 && entry->tries->left > 0)
    return Situation::kNotTried;
  return Situation::kFellBack;
}

Record Settle(Record record, Situation found, const BootState& boot, const std::string& boot_id,
              uint64_t now) {
  switch (found) {
    case Situation::kIdle:
    case Situation::kInterrupted:
    case Situation::kNotTried:
      break;
    case Situation::kStaged:
      record.update->phase = Phase::kArmed;
      break;
    case Situation::kOnTrial: {
      UpdateRecord& update = *record.update;
      update.phase = Phase::kTrial;
      if (update.attempts.empty() || update.attempts.back().boot_id != boot_id)
        update.attempts.push_back({boot_id, now});
      break;
    }
    case Situation::kPassed:
      FinishCommit(record, Boots(*record.update, boot), now);
      break;
    case Situation::kFellBack:
      FinishFallback(record, Boots(*record.update, boot), now);
      break;
    case Situation::kVanished: {
      const UpdateRecord& update = *record.update;
      record.AddHistory({Outcome::kFellBack, now, update.target, update.from.version, update.slot,
                         0, "its boot entry is gone from the ESP, or boots another root", "",
                         update.traffic});
      record.update.reset();
      break;
    }
  }
  return record;
}

}  // namespace hostos

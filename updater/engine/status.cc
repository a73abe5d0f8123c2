#include "updater/engine/status.h"

#include <algorithm>
#include <ranges>

#include "updater/engine/releases.h"
#include "updater/engine/view.h"

namespace hostos {
namespace {

const HistoryEntry* LastOf(const Record& record, Outcome outcome, const Digest& root_hash) {
  for (const HistoryEntry& entry : record.history | std::views::reverse)
    if (entry.outcome == outcome && entry.release.root_hash == root_hash) return &entry;
  return nullptr;
}

SlotCondition Condition(const BootState& boot, const Record& record, Slot slot) {
  const BootEntry* entry = boot.EntryOf(slot);
  if (slot == boot.staying() && boot.on_trial()) return SlotCondition::kTrial;
  if (!entry) return SlotCondition::kEmpty;
  if (entry->exhausted()) return SlotCondition::kBad;
  // Re-counted with the release in front of it, it keeps the condition that it had.
  const bool behind = record.update && record.update->from.root_hash == entry->root_hash;
  if (entry->tries && !behind) return SlotCondition::kArmed;
  return LastOf(record, Outcome::kCommitted, entry->root_hash) ? SlotCondition::kBlessed
                                                               : SlotCondition::kFactory;
}

SlotStatus Describe(World& world, const BootState& boot, const Record& record,
                    const KeptReleases& kept, Slot slot, std::vector<std::string>& problems) {
  SlotStatus status{.slot = slot};
  status.running = boot.release() && boot.release()->slot == slot;
  status.boots_next = boot.next() == slot;
  status.condition = Condition(boot, record, slot);
  status.root_hash = boot.RootOf(slot);
  if (!status.root_hash) return status;
  if (const Release* release = kept.Of(*status.root_hash)) status.release = *release;
  status.verified = ReadVerification(world.state, slot, *status.root_hash, problems);
  if (const BootEntry* entry = boot.EntryOf(slot)) status.tries = entry->tries;
  if (const HistoryEntry* committed = LastOf(record, Outcome::kCommitted, *status.root_hash))
    status.blessed_at = committed->time;
  if (status.condition == SlotCondition::kBad && status.release)
    if (const Denied* denied = record.FindDenied(status.release->commit, *status.root_hash))
      status.reason = denied->reason;
  return status;
}

// The newest fallback; absent when a newer release was committed after it, or when it runs
// nevertheless.
std::optional<HistoryEntry> LastFallback(const Record& record, const Digest& running) {
  for (const HistoryEntry& entry : record.history | std::views::reverse) {
    if (entry.outcome == Outcome::kCommitted) return std::nullopt;
    if (entry.outcome != Outcome::kFellBack) continue;
    if (entry.release.root_hash == running) return std::nullopt;
    return entry;
  }
  return std::nullopt;
}

std::optional<Traffic> LastTraffic(const Record& record) {
  if (record.update && !record.update->was_good) return record.update->traffic;
  for (const HistoryEntry& entry : record.history | std::views::reverse)
    if (entry.traffic) return entry.traffic;
  return std::nullopt;
}

}  // namespace

const char* Name(SlotCondition condition) {
  static constexpr const char* kNames[] = {"empty", "factory", "blessed", "trial", "armed", "bad"};
  return kNames[static_cast<int>(condition)];
}

Result<Status> ReadStatus(World& world) {
  const BootState boot = TRY(world.boot.Read());
  const RunningRelease running = TRY(RunningIn(boot));
  const std::string boot_id = TRY(world.power.BootId());
  Status status;
  status.twins = boot.twins;
  Result<Record> loaded = world.state.record().Load();
  if (!loaded) status.problems.push_back("record: " + loaded.error().message);
  const Record record = Settle(loaded ? *std::move(loaded) : world.state.record().Salvage(), boot,
                               boot_id, world.clock.Now());
  const KeptReleases kept = ReadKept(world);
  std::ranges::copy(kept.problems, std::back_inserter(status.problems));
  for (Slot slot : {Slot::A, Slot::B})
    status.slots[static_cast<int>(slot)] =
        Describe(world, boot, record, kept, slot, status.problems);
  const std::optional<Release>& release = status.slots[static_cast<int>(running.slot)].release;
  status.version = IdentifyStaying(boot, release).version;
  if (release) {
    status.channel = release->channel;
    status.architecture = release->architecture;
  }
  if (const Result<Support> support = ReadSupport(world.os_release))
    status.support = *support;
  else
    status.problems.push_back("os-release: " + support.error().message);
  status.update = record.update;
  status.known = record.update ? record.update->failed_before : record.known;
  status.fallback = LastFallback(record, running.root_hash);
  if (!record.history.empty()) status.last = record.history.back();
  status.traffic = LastTraffic(record);
  if (status.last && status.last->outcome == Outcome::kDegraded &&
      status.last->release.root_hash == running.root_hash)
    status.degraded = status.last;
  status.denied = record.denied;
  status.checked = record.checked;
  const Result<uint64_t> floor = world.floor.Read();
  if (!floor) status.problems.push_back("floor: " + floor.error().message);
  status.index_floor = std::max(record.index_floor, floor.value_or(0));
  status.selftest = record.selftest;
  status.etc_in_memory = world.state.EtcInMemory(running.root_hash);
  status.rescue = DescribeRescue(record, boot, release);
  return status;
}

Result<SlotProof> VerifySlot(World& world, Slot slot, Progress& progress) {
  const BootState boot = TRY(world.boot.Read());
  SlotProof proof{.slot = slot};
  const std::optional<Digest> root_hash = boot.RootOf(slot);
  if (!root_hash) {
    proof.problem = "the slot holds no release";
    return proof;
  }
  proof.release = ReleaseOf(world, *root_hash);
  if (!proof.release) {
    proof.problem =
        std::format("no signed commit with root hash {} is kept on this machine", root_hash->Hex());
    return proof;
  }
  const Result<> proven = ProveRelease(world, slot, *proof.release, progress);
  if (!proven && proven.error().code != Code::kNotTrusted) return std::unexpected(proven.error());
  proof.proven = proven.has_value();
  if (!proven) proof.problem = proven.error().message;
  return proof;
}

}  // namespace hostos

#include "updater/engine/releases.h"

namespace hostos {

Result<std::optional<Release>> ReleaseOf(World& world, const Digest& root_hash) {
  for (const KeptCommit& kept : TRY(world.state.Commits())) {
    Result<Target> target = world.source.Verify(kept.commit, kept.signatures);
    if (target && target->release.root_hash == root_hash) return target->release;
  }
  return std::nullopt;
}

Result<Record> LoadRecord(World& world, const BootState& boot) {
  Result<Record> read = world.state.record().Load();
  if (read) return read;
  TRY(world.state.record().SetAside());
  Record record;
  if (boot.on_trial) return record;
  if (const std::optional<Release> running = TRY(ReleaseOf(world, boot.running_root_hash)))
    record.floor = running->timestamp;
  return record;
}

Result<ReleaseId> IdentifySlot(World& world, const BootState& boot, Slot slot) {
  std::optional<Digest> root_hash =
      slot == boot.running ? boot.running_root_hash : boot.slot(slot).root_hash;
  if (!root_hash) return Fail(Code::kNotFound, "slot {} holds no release", Name(slot));
  if (std::optional<Release> release = TRY(ReleaseOf(world, *root_hash))) return IdOf(*release);
  const BootEntry* entry = boot.EntryOf(slot);
  return ReleaseId{entry ? entry->version : "", {}, *root_hash};
}

}  // namespace hostos

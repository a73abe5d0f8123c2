#include "updater/engine/releases.h"

namespace hostos {
namespace {

ReleaseId Identify(const std::optional<Release>& release, const BootEntry* entry,
                   const Digest& root_hash) {
  return release ? IdOf(*release) : ReleaseId{entry ? entry->version : "", {}, root_hash};
}

Result<std::optional<Target>> FindKept(World& world, const auto& matches) {
  for (const KeptCommit& kept : TRY(world.state.Commits())) {
    Result<Target> target = world.source.Verify(kept.commit, kept.signatures);
    if (target && matches(target->release)) return *std::move(target);
  }
  return std::nullopt;
}

}  // namespace

Result<std::optional<Release>> ReleaseOf(World& world, const Digest& root_hash) {
  std::optional<Target> kept =
      TRY(FindKept(world, [&](const Release& release) { return release.root_hash == root_hash; }));
  if (!kept) return std::nullopt;
  return std::move(kept->release);
}

Result<std::optional<Target>> KeptTarget(World& world, const Digest& commit) {
  return FindKept(world, [&](const Release& release) { return release.commit == commit; });
}

Result<> ProveRelease(World& world, Slot slot, const Release& release, Progress& progress) {
  progress.Begin("verify", std::format("slot {}: {}", Name(slot), release.version));
  Result<Digest> image = world.boot.HashImage(slot);
  if (!image && image.error().code == Code::kNotFound) image.error().code = Code::kNotTrusted;
  const Digest found = TRY_CONTEXT("boot image", std::move(image));
  if (found != release.uki_digest)
    return Fail(Code::kNotTrusted, "boot image: expected SHA-256 {}, found {}",
                release.uki_digest.Hex(), found.Hex());
  return world.disk.Prove(slot, release, progress);
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
  return Identify(TRY(ReleaseOf(world, *root_hash)), boot.EntryOf(slot), *root_hash);
}

ReleaseId IdentifyRunning(const BootState& boot, const std::optional<Release>& release) {
  return Identify(release, boot.EntryOf(boot.running), boot.running_root_hash);
}

}  // namespace hostos

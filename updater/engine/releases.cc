#include "updater/engine/releases.h"

#include <algorithm>

namespace hostos {
namespace {

ReleaseId Identify(const std::optional<Release>& release, const BootEntry* entry,
                   const Digest& root_hash) {
  return release ? IdOf(*release) : ReleaseId{entry ? entry->version : "", {}, root_hash};
}

std::optional<Target> FindKept(World& world, const auto& matches) {
  for (const KeptCommit& kept : world.state.Commits().commits) {
    Result<Target> target = world.source.Verify(kept.commit, kept.signatures);
    if (target && matches(target->release)) return *std::move(target);
  }
  return std::nullopt;
}

// When the record has lost the update, the evidence tells: what the loader tried until no tries
// were left fell back.
void GoByEvidence(World& world, const BootState& boot, Record& record) {
  const Slot slot = boot.target();
  const BootEntry* entry = boot.EntryOf(slot);
  if (!entry || !entry->exhausted() || entry->tries->done == 0) return;
  const Result<ReleaseId> failed = IdentifySlot(world, boot, slot);
  if (!failed || record.FindDenied(failed->commit, failed->root_hash)) return;
  const uint64_t now = world.clock.Now();
  const std::string reason = "fell back, by its boot entry: the record of it cannot be read";
  const std::string running =
      IdentifySlot(world, boot, boot.staying()).value_or(ReleaseId()).version;
  record.GiveUp({Outcome::kFellBack, now, *failed, running, slot, entry->tries->done, reason, ""});
}

}  // namespace

const Release* KeptReleases::Of(const Digest& root_hash) const {
  const auto found = std::ranges::find(releases, root_hash, &Release::root_hash);
  return found == releases.end() ? nullptr : &*found;
}

KeptReleases ReadKept(World& world) {
  KeptCommits commits = world.state.Commits();
  KeptReleases kept{.releases = {}, .problems = std::move(commits.problems)};
  for (const KeptCommit& commit : commits.commits) {
    Result<Target> target = world.source.Verify(commit.commit, commit.signatures);
    if (target)
      kept.releases.push_back(std::move(target->release));
    else
      kept.problems.push_back(std::format("{}: {}", commit.file, target.error().message));
  }
  return kept;
}

std::optional<Release> ReleaseOf(World& world, const Digest& root_hash) {
  return FindKept(world, [&](const Release& release) { return release.root_hash == root_hash; })
      .transform([](Target kept) { return std::move(kept.release); });
}

std::optional<Target> KeptTarget(World& world, const Digest& commit) {
  return FindKept(world, [&](const Release& release) { return release.commit == commit; });
}

Result<> ProveBootImage(World& world, Slot slot, const Release& release) {
  Result<Digest> image = world.boot.HashImage(slot);
  if (!image && image.error().code == Code::kNotFound) image.error().code = Code::kNotTrusted;
  const Digest found = TRY_CONTEXT("boot image", std::move(image));
  if (found == release.uki_digest) return {};
  return Fail(Code::kNotTrusted, "boot image: expected SHA-256 {}, found {}",
              release.uki_digest.Hex(), found.Hex());
}

Result<> ProveRelease(World& world, Slot slot, const Release& release, Progress& progress) {
  progress.Begin("verify", std::format("slot {}: {}", Name(slot), release.version));
  TRY(ProveBootImage(world, slot, release));
  return world.disk.Prove(slot, release, progress);
}

Record LoadRecord(World& world, const BootState& boot, std::vector<std::string>* problems) {
  const RecordFile& file = world.state.record();
  Result<Record> read = file.Load();
  Record record = read ? *read : file.Salvage();
  if (record.update_lost && boot.release() && !boot.on_trial()) GoByEvidence(world, boot, record);
  if (read) return record;
  if (problems) problems->push_back("record: " + read.error().message);
  const std::optional<Digest> root_hash = boot.RootOf(boot.staying());
  const auto running = root_hash ? ReleaseOf(world, *root_hash) : std::nullopt;
  if (boot.on_trial())
    record.history.clear();  // nothing says that what runs was ever good
  else if (running)
    record.time_floor = running->timestamp;
  (void)file.SetAside();    // if it fails, Save() replaces the damaged file
  (void)file.Save(record);  // now, to keep its denials; if it fails, they are salvaged again
  return record;
}

std::vector<Digest> HeldReleases(const Result<BootState>& boot) {
  const RunningRelease* running = boot ? boot->release() : nullptr;
  return running ? std::vector{running->root_hash} : std::vector<Digest>();
}

Result<ReleaseId> IdentifySlot(World& world, const BootState& boot, Slot slot) {
  const std::optional<Digest> root_hash = boot.RootOf(slot);
  if (!root_hash) return Fail(Code::kNotFound, "slot {} holds no release", Name(slot));
  return Identify(ReleaseOf(world, *root_hash), boot.EntryOf(slot), *root_hash);
}

ReleaseId IdentifyStaying(const BootState& boot, const std::optional<Release>& release) {
  return Identify(release, boot.EntryOf(boot.staying()),
                  boot.RootOf(boot.staying()).value_or(Digest()));
}

}  // namespace hostos

// Which release is in which slot: by the signed commits kept on the state partition, found through
// the root hash. What cannot be read or verified is not known, and in nobody's way.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "updater/engine/world.h"

namespace hostos {

std::optional<Release> ReleaseOf(World& world, const Digest& root_hash);
// The release whose commit has this checksum, if this machine had it before.
std::optional<Target> KeptTarget(World& world, const Digest& commit);

// All of them, and why one that is there is not among them.
struct KeptReleases {
  std::vector<Release> releases;
  std::vector<std::string> problems;

  const Release* Of(const Digest& root_hash) const;  // null when not known
};
KeptReleases ReadKept(World& world);

// Every byte of what boots from the slot is as signed: the boot image on the ESP, the image, and
// its hash tree. kNotTrusted says what differs.
Result<> ProveRelease(World& world, Slot slot, const Release& release, Progress& progress);

inline ReleaseId IdOf(const Release& release) {
  return {release.version, release.commit, release.root_hash};
}

// The record, for who holds the lock. One that is damaged is set aside, and a new one begins with
// what is whole of it: what boots must not hang on why it does. Where an update in progress is not
// known any more, the boot entries say what became of it. The floor of a new one is that of the
// running release, if it is no trial.
Record LoadRecord(World& world, const BootState& boot,
                  std::vector<std::string>* problems = nullptr);

// What is known of the release in a slot: from its kept commit, else from its boot entry.
Result<ReleaseId> IdentifySlot(World& world, const BootState& boot, Slot slot);
// The same of what runs, when its kept commit was looked for before.
ReleaseId IdentifyRunning(const BootState& boot, const std::optional<Release>& release);

}  // namespace hostos

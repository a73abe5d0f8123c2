// Which release is in which slot: by the signed commits kept on the state partition, found through
// the root hash. What cannot be verified is not known.
#pragma once

#include <optional>

#include "updater/engine/world.h"

namespace hostos {

Result<std::optional<Release>> ReleaseOf(World& world, const Digest& root_hash);
// The release whose commit has this checksum, if this machine had it before.
Result<std::optional<Target>> KeptTarget(World& world, const Digest& commit);

// Every byte of what boots from the slot is as signed: the boot image on the ESP, the image, and
// its hash tree. kNotTrusted says what differs.
Result<> ProveRelease(World& world, Slot slot, const Release& release, Progress& progress);

inline ReleaseId IdOf(const Release& release) {
  return {release.version, release.commit, release.root_hash};
}

// The record; one that cannot be read or understood is set aside, and a new one begins: what boots
// must not hang on why it does. The floor is then that of the running release, if it is no trial.
Result<Record> LoadRecord(World& world, const BootState& boot);

// What is known of the release in a slot: from its kept commit, else from its boot entry.
Result<ReleaseId> IdentifySlot(World& world, const BootState& boot, Slot slot);
// The same of what runs, when its kept commit was looked for before.
ReleaseId IdentifyRunning(const BootState& boot, const std::optional<Release>& release);

}  // namespace hostos

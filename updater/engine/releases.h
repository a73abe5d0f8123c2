// Which release is in which slot: by the signed commits kept on the state partition, found through
// the root hash. What cannot be verified is not known.
#pragma once

#include <optional>

#include "updater/engine/world.h"

namespace hostos {

Result<std::optional<Release>> ReleaseOf(World& world, const Digest& root_hash);

inline ReleaseId IdOf(const Release& release) {
  return {release.version, release.commit, release.root_hash};
}

// The record; one that cannot be read or understood is set aside, and a new one begins: what boots
// must not hang on why it does. The floor is then that of the running release, if it is no trial.
Result<Record> LoadRecord(World& world, const BootState& boot);

// What is known of the release in a slot: from its kept commit, else from its boot entry.
Result<ReleaseId> IdentifySlot(World& world, const BootState& boot, Slot slot);

}  // namespace hostos

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

// What is known of the release in a slot: from its kept commit, else from its boot entry.
Result<ReleaseId> IdentifySlot(World& world, const BootState& boot, Slot slot);

}  // namespace hostos

// Tells which release is in which slot: looks the root hash up among the signed commits kept on the
// state partition. A commit that cannot be read or verified counts as not known, and hides no
// other.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "updater/engine/world.h"

namespace hostos {

std::optional<Release> ReleaseOf(World& world, const Digest& root_hash);
// The release whose commit has this checksum, if this machine has kept the commit.
std::optional<Target> KeptTarget(World& world, const Digest& commit);

// All kept releases, and why a kept commit is not among them.
struct KeptReleases {
  std::vector<Release> releases;
  std::vector<std::string> problems;

  const Release* Of(const Digest& root_hash) const;  // null when not known
};
KeptReleases ReadKept(World& world);

// Checks that the slot's boot image on the ESP is as signed; kNotTrusted.
Result<> ProveBootImage(World& world, Slot slot, const Release& release);
// Checks that every byte that boots from the slot is as signed: the boot image on the ESP, the
// image, and its hash tree. kNotTrusted says what differs.
Result<> ProveRelease(World& world, Slot slot, const Release& release, Progress& progress);

inline ReleaseId IdOf(const Release& release) {
  return {release.version, release.commit, release.root_hash};
}

// Loads the record; the caller holds the lock. A damaged record is set aside, and a new one begins
// with what can be salvaged: what boots must not depend on the record. If an update in progress was
// lost, the boot entries tell what became of it. The floor of the new record is that of the running
// release, unless that is on trial.
Record LoadRecord(World& world, const BootState& boot,
                  std::vector<std::string>* problems = nullptr);

// The root hashes of the releases whose objects an update can build on: the running one's. None in
// the rescue system, whose slots may be damaged.
std::vector<Digest> HeldReleases(const Result<BootState>& boot);

// What is known of the release in a slot: from its kept commit, else from its boot entry.
Result<ReleaseId> IdentifySlot(World& world, const BootState& boot, Slot slot);
// The same for the slot that is not to be written, when its kept commit was already looked up.
ReleaseId IdentifyStaying(const BootState& boot, const std::optional<Release>& release);

}  // namespace hostos

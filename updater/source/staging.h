// Housekeeping between pulls in a staging repository (bare-user), without libostree.
//
// libostree keeps what a cut-off pull had received in tmp/staging-<boot id>-<random>/, and takes it
// up again only in the same boot and within a day: after a power cut nobody knows which of those
// files reached the disk. We know how to tell: an object whose content has its checksum is whole.
// So every such object is verified and moved among the repository's own before the next pull
// begins, which costs nothing when nothing was cut off.
#pragma once

#include <set>
#include <string>
#include <utility>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/base/space.h"
#include "updater/source/commit.h"

namespace hostos {

using ObjectName = std::pair<Digest, ObjectType>;
using ObjectNames = std::set<ObjectName>;

// What an interrupted pull left, by name only.
Result<ObjectNames> InterruptedObjects(const std::string& repository);

// Moves the wanted and whole ones of these into the repository, durably.
// Nobody else may be using the repository.
Result<> AdoptInterruptedObjects(const std::string& repository, const ObjectNames& wanted);

// Removes what else a cut-off pull left: what it had received, its lock, objects that had no name
// yet. Nobody else may be using the repository.
Result<> RemoveLeftovers(const std::string& repository);

// Room that RemoveOtherObjects() makes.
Result<Space> SizeOfOtherObjects(const std::string& repository, const ObjectNames& wanted);
// Removes the repository's own objects that are not wanted: those of a release that was given up.
Result<> RemoveOtherObjects(const std::string& repository, const ObjectNames& wanted);

}  // namespace hostos

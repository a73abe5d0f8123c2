// Housekeeping in a staging repository (bare-user) between pulls, without libostree.
//
// libostree keeps what a cut-off pull received in tmp/staging-<boot id>-<random>/. It resumes from
// there only in the same boot and within a day, because after a power cut it cannot tell which of
// those files reached the disk. But an object whose content has its checksum is whole. So before
// the next pull each such object is verified and moved among the repository's own objects, which
// costs nothing when nothing was cut off.
#pragma once

#include <set>
#include <string>
#include <utility>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/base/space.h"
#include "updater/release/commit.h"

namespace hostos {

using ObjectName = std::pair<Digest, ObjectType>;
using ObjectNames = std::set<ObjectName>;

// The objects that an interrupted pull left, by name only.
Result<ObjectNames> InterruptedObjects(const std::string& repository);

// Moves those of them that are wanted and whole into the repository, durably. Nobody else may be
// using the repository.
Result<> AdoptInterruptedObjects(const std::string& repository, const ObjectNames& wanted);

// Removes what else a cut-off pull left: what it had received, its lock, and objects without a name
// yet. Nobody else may be using the repository.
Result<> RemoveLeftovers(const std::string& repository);

// The room that RemoveOtherObjects() makes.
Result<Space> SizeOfOtherObjects(const std::string& repository, const ObjectNames& wanted);
// Removes the repository's own objects that are not wanted: those of a release that was given up.
Result<> RemoveOtherObjects(const std::string& repository, const ObjectNames& wanted);

}  // namespace hostos

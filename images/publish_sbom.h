// The software bill of materials and the provenance of a committed release, as files beside the
// repository's objects: whoever does not run the release need not take it apart.
#pragma once

#include <vector>

#include "updater/base/result.h"
#include "updater/release/commit.h"
#include "updater/release/release_target.h"
#include "updater/source/repo.h"

namespace hostos {

// Takes the files out of the commit's root, and the provenance that was made with it, and puts them
// to SbomPath() of the target. Returns those that the release has, which may be none.
Result<std::vector<SbomFile>> PutSboms(const Repo& repo, const Commit& commit,
                                       const ReleaseTarget& target);

}  // namespace hostos

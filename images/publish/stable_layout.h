// Lays a release out so that its image has as much as possible in common with that of the release
// before, block by block: a node then writes only what differs (seal format 2).
#pragma once

#include <cstdint>
#include <vector>

#include "updater/base/result.h"
#include "updater/base/tree.h"
#include "updater/release/commit.h"
#include "updater/source/repo.h"

namespace hostos {

// Tree::starts for `tree`. A file that both releases have stays where it lies in `before`; another
// one takes the place of its predecessor, which has the same path but for versions, or fills a gap,
// or comes last. Gaps that no file fits into stay; when they are more than an eighth of the image,
// the layout begins anew.
Result<std::vector<uint32_t>> StableLayout(const Tree& tree, const Repo& repo,
                                           const Commit& before);

}  // namespace hostos

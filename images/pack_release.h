// Delta packs of a repository: made beside its objects, named by the release's target when it is
// published.
#pragma once

#include <string>
#include <vector>

#include "images/publish/build_pack.h"
#include "updater/base/digest.h"
#include "updater/base/progress.h"
#include "updater/base/result.h"
#include "updater/release/delta_pack.h"

namespace hostos {

struct PackOptions {
  std::string repo;
  std::string architecture;
  std::string version;            // to
  std::vector<std::string> from;  // versions that nodes have
  int level = kPackLevel;
};

struct MadePack {
  std::string from;  // version
  BuiltPack built;
};

// Makes a pack from each of these releases. One that is there is made again.
Result<std::vector<MadePack>> PackRelease(const PackOptions& options, Progress& progress);

// The packs that there are for a release with this root hash; none where there is no directory.
Result<std::vector<DeltaPack>> PacksFor(const std::string& repo, const Digest& root_hash);

}  // namespace hostos

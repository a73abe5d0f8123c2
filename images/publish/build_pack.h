// Builds delta packs (updater/release/delta_pack.h). The same releases give the same bytes, with
// the same libzstd.
#pragma once

#include <cstdint>
#include <string>

#include "updater/base/progress.h"
#include "updater/base/result.h"
#include "updater/release/commit.h"
#include "updater/source/repo.h"

namespace hostos {

inline constexpr int kPackLevel = 19;  // of zstd

struct BuiltPack {
  uint64_t objects = 0;  // in the pack
  uint64_t bytes = 0;    // of the file
};

// Writes the pack between two releases of an archive repository. Unpacks every object of it again
// and compares it before the file is complete.
Result<BuiltPack> BuildPack(const Repo& repo, const Commit& from, const Commit& to, int level,
                            const std::string& output, Progress& progress);

}  // namespace hostos

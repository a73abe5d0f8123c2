// What deltas of the same two releases take elsewhere: a delta pack is judged beside it.
#pragma once

#include <cstdint>
#include <string>

#include "tests/node/file_node.h"

namespace hostos {

// The sum over the files that `releases.to` has and `releases.from` has not of `zstd -19
// --patch-from` the file at the same path but for versions, or of plain `zstd -19`. The boot image
// is left out: it is made of the other files.
Result<uint64_t> DeltaFloor(const Releases& releases);

// Bytes of a static delta of OSTree that has every object in it. Written to `directory`.
Result<uint64_t> StaticDeltaBytes(const Releases& releases, const std::string& directory);

}  // namespace hostos

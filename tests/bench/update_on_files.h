// A node on files: slot B's partitions are two files, the ESP is a directory, and the running
// release is its mounted image. Update() and everything it does to them are the real ones.
#pragma once

#include <string>

#include "tests/bench/measure.h"
#include "updater/base/digest.h"

namespace hostos {

// Two releases of one repository: what runs, and the channel's newest.
struct Releases {
  std::string repo;    // archive
  std::string keys;    // folder of the public keys
  std::string image;   // erofs, of `from`
  Digest from, to;     // commits
  uint64_t slot_size;  // bytes that a slot's data partition has
};

// Updates a new node, with its files below `directory`. `root` is where the running image is
// mounted. What it says: {"phases": {"fetch": {"wall", "cpu"}, ...}, "image_bytes", "uki_bytes"}.
Result<Cost> UpdateOnFiles(const Releases& releases, const std::string& url,
                           const std::string& root, const std::string& directory);

}  // namespace hostos

// The dm-verity hash area: a superblock, then the hash tree with its top level
// first; SHA-256, salted, 4096-byte blocks, hash type 1. `veritysetup format` makes the same bytes.
// Sources: Linux Documentation/admin-guide/device-mapper/verity.rst, and for the superblock
// cryptsetup's "DM-Verity on-disk specification" (its wiki, and lib/verity/verity.c).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "updater/base/digest.h"

namespace hostos::verity {

constexpr size_t kBlock = 4096;
constexpr size_t kDigestsPerBlock = kBlock / sizeof(Digest);

using Block = std::array<std::byte, kBlock>;

// Where the levels of a hash tree lie.
struct Geometry {
  struct Level {
    uint64_t first;   // its first block in the hash area
    uint64_t blocks;  // its length
  };
  uint64_t data_blocks;
  std::vector<Level> levels;  // [0] holds the digests of the data; none for a single data block
  uint64_t blocks = 1;        // of the hash area, superblock included

  explicit Geometry(uint64_t data_blocks);
};

// Block 0 of the hash area.
Block Superblock(uint64_t data_blocks);

// A SHA-256 state that has taken in the salt: the start of every block's hash.
const Sha256& Salted();

Digest HashBlock(const Block& block);

}  // namespace hostos::verity

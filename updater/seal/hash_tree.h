// The hash tree of an image, written while the image streams by and read back the same way: one
// block per level in memory.
#pragma once

#include <cstdint>
#include <vector>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/seal/verity_format.h"

namespace hostos::verity {

class HashTreeWriter {
 public:
  // Writes to `fd` from its offset 0, and no further than Geometry(data_blocks).blocks.
  HashTreeWriter(int fd, uint64_t data_blocks);

  // The digests of all data blocks, in order.
  Result<> Add(const Digest& digest) { return AddTo(0, digest); }
  // Writes what is not full yet and the superblock; returns the root hash.
  Result<Digest> Finish();

 private:
  struct Level {
    Block block{};
    size_t digests = 0;    // in `block`
    uint64_t written = 0;  // blocks
  };

  Result<> AddTo(size_t level, const Digest& digest);
  Result<> Flush(size_t level);

  int fd_;
  Geometry geometry_;
  std::vector<Level> levels_;
  Digest root_;
};

class HashTreeReader {
 public:
  HashTreeReader(int fd, uint64_t data_blocks, const Digest& root);

  // kNotTrusted unless the superblock is the one that belongs to this image.
  Result<> CheckSuperblock();
  // The digest that the root hash vouches for; asked for in order, each hash block is read once.
  // kNotTrusted names the bytes of the hash area that do not fit their parent.
  Result<Digest> Expected(uint64_t data_block) { return DigestBelow(0, data_block); }

 private:
  struct Level {
    alignas(kBlock) Block block;   // direct reads want it aligned
    uint64_t number = UINT64_MAX;  // of `block` in its level
  };

  Result<Digest> DigestBelow(size_t level, uint64_t index);
  Result<> Read(uint64_t block, Block& buffer);

  int fd_;
  Geometry geometry_;
  Digest root_;
  std::vector<Level> levels_;
};

}  // namespace hostos::verity

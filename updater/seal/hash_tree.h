// The hash tree of an image, written while the image streams by and read back in the same order,
// with one block per level in memory.
#pragma once

#include <cstdint>
#include <vector>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/seal/verity_format.h"

namespace hostos::verity {

class HashTreeWriter {
 public:
  // Writes to `fd` from offset 0, at most Geometry(data_blocks).blocks.
  HashTreeWriter(int fd, uint64_t data_blocks);

  // Takes the digests of all data blocks, in order.
  Result<> Add(const Digest& digest) { return AddTo(0, digest); }
  // Writes the unfinished blocks and the superblock. Returns the root hash.
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

  // kNotTrusted unless the superblock is this image's.
  Result<> CheckSuperblock();
  // The digest of a data block, proved by the root hash. Asked in order, it reads each hash block
  // once. kNotTrusted names the bytes of the hash area that do not match their parent.
  Result<Digest> Expected(uint64_t data_block) { return DigestBelow(0, data_block); }

 private:
  struct Level {
    alignas(kBlock) Block block;   // aligned for direct reads
    uint64_t number = UINT64_MAX;  // number of `block` in its level
  };

  Result<Digest> DigestBelow(size_t level, uint64_t index);
  Result<> Read(uint64_t block, Block& buffer);

  int fd_;
  Geometry geometry_;
  Digest root_;
  std::vector<Level> levels_;
};

}  // namespace hostos::verity

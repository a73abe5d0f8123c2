#include "updater/seal/verity_format.h"

#include <bit>
#include <cstring>

#include "updater/base/unique_fd.h"

namespace hostos::verity {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the superblock is written as it lies in memory");

struct SuperblockFields {
  char signature[8];
  uint32_t version;
  uint32_t hash_type;
  uint8_t uuid[16];
  char algorithm[32];
  uint32_t data_block_size;
  uint32_t hash_block_size;
  uint64_t data_blocks;
  uint16_t salt_size;
  uint8_t reserved[6];
  uint8_t salt[256];
  uint8_t reserved2[168];
};
static_assert(sizeof(SuperblockFields) == 512);

// Not a secret, but unique to this format: a hash made for a sealed image means nothing elsewhere.
const Digest& Salt() {
  static const Digest salt = Sha256::Of(AsBytes("HostOS seal format 1"));
  return salt;
}

}  // namespace

Geometry::Geometry(uint64_t count) : data_blocks(count) {
  while (count > 1) {
    count = (count + kDigestsPerBlock - 1) / kDigestsPerBlock;
    levels.push_back({.first = 0, .blocks = count});
  }
  for (size_t level = levels.size(); level-- > 0;) {
    levels[level].first = blocks;
    blocks += levels[level].blocks;
  }
}

Block Superblock(uint64_t data_blocks) {
  // The UUID stays zero, which means none: two slots may hold the same release.
  SuperblockFields fields{.signature = {'v', 'e', 'r', 'i', 't', 'y'},
                          .version = 1,
                          .hash_type = 1,
                          .uuid = {},
                          .algorithm = "sha256",
                          .data_block_size = kBlock,
                          .hash_block_size = kBlock,
                          .data_blocks = data_blocks,
                          .salt_size = sizeof(Digest),
                          .reserved = {},
                          .salt = {},
                          .reserved2 = {}};
  std::memcpy(fields.salt, Salt().bytes.data(), sizeof(Digest));
  Block block{};
  std::memcpy(block.data(), &fields, sizeof fields);
  return block;
}

const Sha256& Salted() {
  static const Sha256 salted = [] {
    Sha256 hash;
    hash.Update(std::as_bytes(std::span(Salt().bytes)));
    return hash;
  }();
  return salted;
}

Digest HashBlock(const Block& block) {
  Sha256 hash = Salted();
  hash.Update(block);
  return hash.Finish();
}

}  // namespace hostos::verity

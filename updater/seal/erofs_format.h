// The on-disk format of erofs, as far as a sealed image uses it: uncompressed, 4096-byte blocks,
// one device. Source: Linux fs/erofs/erofs_fs.h and Documentation/filesystems/erofs.rst. Every
// field is little-endian. Offsets and sizes are in bytes, unless a comment says blocks.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace hostos::erofs {

static_assert(std::endian::native == std::endian::little,
              "the structures below are written as they lie in memory");

constexpr size_t kBlock = 4096;
constexpr size_t kSuperblockOffset = 1024;
constexpr uint32_t kMagic = 0xE0F5E1E2;
constexpr size_t kSlot = 32;  // inodes start at multiples of this; a nid counts slots

constexpr uint64_t Blocks(uint64_t bytes) {
  return bytes / kBlock + (bytes % kBlock != 0);
}

struct Superblock {
  uint32_t magic = kMagic;
  uint32_t checksum = 0;
  uint32_t feature_compat = 0;
  uint8_t block_bits = 12;  // log2 of the block size
  uint8_t ext_slots = 0;
  uint16_t root_nid = 0;
  uint64_t inodes = 0;
  uint64_t build_time = 0;  // also the time of every compact inode
  uint32_t build_time_nsec = 0;
  uint32_t blocks = 0;
  uint32_t meta_block = 0;   // nids count from here
  uint32_t xattr_block = 0;  // shared xattrs
  uint8_t uuid[16] = {};
  uint8_t volume_name[16] = {};
  uint32_t feature_incompat = 0;
  uint8_t reserved[44] = {};
};
static_assert(sizeof(Superblock) == 128);

// Bits of an inode's `format`: its size, and where its data lies.
constexpr uint16_t kExtended = 1;
constexpr uint16_t kFlatPlain = 0 << 1;   // whole blocks from `block`
constexpr uint16_t kFlatInline = 2 << 1;  // the same, with the tail after inode and xattrs

struct CompactInode {
  uint16_t format = 0;
  uint16_t xattr_count = 0;  // 0, or (size of the xattr body - 12) / 4 + 1
  uint16_t mode = 0;
  uint16_t nlink = 0;
  uint32_t size = 0;
  uint32_t reserved = 0;
  uint32_t block = 0;
  uint32_t ino = 0;  // for stat(2) on 32-bit machines only
  uint16_t uid = 0;
  uint16_t gid = 0;
  uint32_t reserved2 = 0;
};
static_assert(sizeof(CompactInode) == 32);

struct ExtendedInode {
  uint16_t format = 0;
  uint16_t xattr_count = 0;
  uint16_t mode = 0;
  uint16_t reserved = 0;
  uint64_t size = 0;
  uint32_t block = 0;
  uint32_t ino = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t mtime = 0;
  uint32_t mtime_nsec = 0;
  uint32_t nlink = 0;
  uint8_t reserved2[16] = {};
};
static_assert(sizeof(ExtendedInode) == 64);

// Begins the xattrs after an inode. The entries follow, each padded to four bytes.
struct XattrHeader {
  uint32_t name_filter = 0;
  uint8_t shared_count = 0;
  uint8_t reserved[7] = {};
};
static_assert(sizeof(XattrHeader) == 12);

struct XattrEntry {
  uint8_t name_size = 0;  // of the name without its prefix
  uint8_t prefix = 0;
  uint16_t value_size = 0;
};
static_assert(sizeof(XattrEntry) == 4);

// A directory block: the entries, then their names without terminators, then zeros. Entries are
// sorted by name across the whole directory, "." and ".." included.
struct [[gnu::packed]] DirectoryEntry {
  uint64_t nid;
  uint16_t name_offset;  // in the block; the first one tells how many entries
  uint8_t file_type;
  uint8_t reserved;
};
static_assert(sizeof(DirectoryEntry) == 12);

constexpr uint8_t kTypeRegular = 1;
constexpr uint8_t kTypeDirectory = 2;
constexpr uint8_t kTypeLink = 7;

}  // namespace hostos::erofs

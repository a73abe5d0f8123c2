// A delta pack: one file that turns the objects of one release into those of the next, for nodes
// that hold the first. Decides nothing: each object that comes out of it is compared with its
// checksum, and what it does not give is fetched as a plain object.
//
// An object is read as its checksum covers it (ostree-core): header and content of a file, the
// bytes of a dirtree or dirmeta. It is made of literal bytes, in zstd frames (RFC 8878), with whole
// files of the node between them. A frame may have a range of an object that the node holds as its
// prefix (ZSTD_DCtx_refPrefix), so that it says only what is new.
//
//   "HOSTPK1\n", the length of the index (4 bytes, least significant first), the index, all frames
//
// The index is numbers of seven bits a byte, least significant first, the eighth set where more
// follow:
//   count of bases; each: its checksum, 32 bytes
//   count of objects; each, once: its place among the commit's signed sizes;
//     count of frames; each: bytes it unpacks to, bytes it has, 0 or the base of its prefix (from
//     1),
//       and with a prefix its offset and length in the base
//     count of copies; each: how many literal bytes come before it, and its base (from 1)
//
// A base is a content object, of which only the content counts, or a dirtree or dirmeta, like the
// object that uses it. It may be an object that comes before in the pack.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/digest.h"
#include "updater/base/result.h"

namespace hostos {

// Bounds on what a node holds in memory for one frame.
inline constexpr uint64_t kMaxFrameBytes = 2 << 20;        // unpacked
inline constexpr uint64_t kMaxPackedFrameBytes = 3 << 20;  // more than zstd makes of that
inline constexpr uint64_t kMaxPrefixBytes = 6 << 20;
inline constexpr uint64_t kMaxPackIndexBytes = 1 << 20;
inline constexpr size_t kPackHeaderBytes = 12;

struct PackFrame {
  uint64_t unpacked = 0, packed = 0;
  uint32_t base = 0;                // of its prefix, from 1; 0: none
  uint64_t offset = 0, length = 0;  // of the prefix in the base
  bool operator==(const PackFrame&) const = default;
};

struct PackCopy {
  uint64_t literals = 0;  // before it
  uint32_t base = 0;      // from 1: all of its content
  bool operator==(const PackCopy&) const = default;
};

struct PackObject {
  uint32_t place = 0;  // in Commit::sizes
  std::vector<PackFrame> frames;
  std::vector<PackCopy> copies;
  bool operator==(const PackObject&) const = default;

  uint64_t packed() const;    // bytes of its frames
  uint64_t unpacked() const;  // literal bytes
};

struct PackIndex {
  std::vector<Digest> bases;
  std::vector<PackObject> objects;
  bool operator==(const PackIndex&) const = default;
};

// The length of the index that follows the header; kNotTrusted when it is none.
Result<uint64_t> ParsePackHeader(std::string_view bytes);
// For a commit with this many objects in a pack whose frames take `frames` bytes in all.
// kNotTrusted says what is out of bounds.
Result<PackIndex> ParsePackIndex(std::string_view bytes, size_t objects, uint64_t frames);
// Header and index.
std::string WritePackIndex(const PackIndex& index);

// A pack as a release's target names it.
struct DeltaPack {
  Digest from;        // root hash of the release that the node holds
  uint64_t size = 0;  // of the file
  bool operator==(const DeltaPack&) const = default;
};
// Where a repository has it. Releases with one root hash have the same objects.
std::string PackPath(const Digest& from, const Digest& to);

}  // namespace hostos

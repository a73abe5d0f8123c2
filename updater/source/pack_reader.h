// Unpacks the objects of a delta pack (updater/release/delta_pack.h), one at a time. Holds one
// frame and its prefix in memory, never an object. The only user of libzstd on a node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "updater/base/result.h"
#include "updater/release/commit.h"
#include "updater/release/delta_pack.h"

typedef struct ZSTD_DCtx_s ZSTD_DCtx;

namespace hostos {

// The objects that a pack refers to.
class PackBases {
 public:
  virtual ~PackBases() = default;
  // Reads from the content of a file, or from the bytes of a dirtree or dirmeta; returns how much
  // there was. kNotFound when there is no such object.
  virtual Result<size_t> Read(ObjectType type, const Digest& base, uint64_t offset,
                              std::span<std::byte> into) = 0;
};

class PackReader {
 public:
  // The pack is `size` bytes of `file`, from `begin` on.
  static Result<PackReader> Open(int file, uint64_t begin, uint64_t size, const Commit& commit);

  size_t objects() const { return index_.objects.size(); }
  const ObjectSize& object(size_t which) const;

  // Hands out the bytes of the object in pieces. They are not compared with its checksum. An error
  // when they are more than `most`, a base is missing, or a frame is none.
  using Sink = std::function<Result<>(std::span<const std::byte>)>;
  Result<> Unpack(size_t which, PackBases& bases, uint64_t most, const Sink& sink);

 private:
  PackReader(int file, const Commit& commit) : file_(file), commit_(&commit) {}
  Result<> NextFrame(const PackFrame& frame, uint64_t at, ObjectType type, PackBases& bases);
  Result<> Copy(const Digest& base, PackBases& bases, const Sink& sink);

  int file_;
  const Commit* commit_;
  PackIndex index_;
  std::vector<uint64_t> begins_;  // of each object's frames
  std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> zstd_{nullptr, nullptr};
  std::vector<std::byte> packed_, prefix_, literals_;
};

}  // namespace hostos

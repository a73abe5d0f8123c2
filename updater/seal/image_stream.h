// The bytes of an image on their way out: written in large pieces from the start to the end, hashed
// on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/seal/block_hasher.h"
#include "updater/seal/hash_tree.h"

namespace hostos {

class ImageStream {
 public:
  using Progress = std::function<void(uint64_t done, uint64_t total)>;
  ImageStream(int image_fd, int verity_fd, uint64_t blocks, const Progress& progress);

  Result<> Append(std::span<const std::byte> bytes);
  // The next `size` bytes of `fd`. kFailed says how many came when the file ends before.
  Result<> AppendFrom(int fd, uint64_t size);
  // Zeros up to `offset` of the image, which is not behind us.
  Result<> PadTo(uint64_t offset);
  // The image is complete; returns its root hash.
  Result<Digest> Finish();

 private:
  // The free part of the current buffer, never empty.
  Result<std::span<std::byte>> Room();
  Result<> Flush();

  int image_fd_;
  uint64_t total_;
  const Progress& progress_;
  verity::HashTreeWriter tree_;
  verity::BlockHasher hasher_;
  std::span<std::byte> buffer_;
  size_t filled_ = 0;     // of `buffer_`
  uint64_t flushed_ = 0;  // bytes of the image before `buffer_`
};

}  // namespace hostos

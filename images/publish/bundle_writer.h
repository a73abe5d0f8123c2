// Writes a bundle (updater/source/archive.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "updater/base/result.h"

namespace hostos {

// Writes a bundle's entries to a file from its start, in the order in which they are added.
class BundleWriter {
 public:
  explicit BundleWriter(int fd) : fd_(fd) {}
  // Reads `size` bytes of `content` from its present offset. kNotSupported for a name or a size
  // that ustar cannot hold.
  Result<> Add(const std::string& name, int content, uint64_t size);
  Result<> Finish();
  uint64_t bytes() const { return bytes_; }

 private:
  Result<> Write(std::span<const std::byte> data);

  int fd_;
  uint64_t bytes_ = 0;
};

}  // namespace hostos

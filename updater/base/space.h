// Space on a file system, free or used: bytes, and inodes, which can run out first.
#pragma once

#include <cstdint>
#include <string>

#include "updater/base/result.h"

namespace hostos {

inline constexpr uint64_t kBlockBytes = 4096;  // space of the smallest file

// Space that a file of this size takes.
constexpr uint64_t InBlocks(uint64_t bytes) {
  return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

struct Space {
  uint64_t bytes = 0;
  uint64_t inodes = 0;
  Space& operator+=(const Space& other) {
    bytes += other.bytes;
    inodes += other.inodes;
    return *this;
  }
};

// Space that a file, link or directory takes, without what is in it.
Result<Space> SizeOnDisk(const std::string& path);

// Space on the file system of `path` that this process may use.
Result<Space> FreeSpaceAt(const std::string& path);

}  // namespace hostos

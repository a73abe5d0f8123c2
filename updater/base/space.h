// Room on a file system, and what something takes of it: bytes, and inodes, which can end first.
#pragma once

#include <cstdint>
#include <string>

#include "updater/base/result.h"

namespace hostos {

inline constexpr uint64_t kBlockBytes = 4096;  // what the smallest file takes

// What a file of so many bytes takes.
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

// What a file, link or directory takes.
Result<Space> SizeOnDisk(const std::string& path);

// Free for us on the file system of `path`.
Result<Space> FreeSpaceAt(const std::string& path);

}  // namespace hostos

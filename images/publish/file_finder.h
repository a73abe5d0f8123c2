// Finds whole files inside of another, such as those of a root in a boot image.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "updater/base/result.h"
#include "updater/base/unique_fd.h"

namespace hostos {

// The files stand at multiples of four bytes: that is so in a cpio archive (the kernel's initramfs
// buffer format) and in the sections of a PE image.
class FileFinder {
 public:
  // `open` opens a file by the name that it was added with.
  using Opener = std::function<Result<UniqueFd>(const std::string& name)>;
  explicit FileFinder(Opener open) : open_(std::move(open)) {}
  // A small file is not worth looking for, and left out.
  Result<> Add(const std::string& name, uint64_t size);

  struct Found {
    uint64_t offset = 0, size = 0;
    std::string name;
  };
  // In order, none inside of another.
  Result<std::vector<Found>> FindIn(std::string_view content) const;

 private:
  Result<bool> StandsAt(const std::string& name, std::string_view content) const;

  Opener open_;
  // By their first bytes.
  std::unordered_map<std::string, std::vector<std::pair<uint64_t, std::string>>> files_;
};

}  // namespace hostos

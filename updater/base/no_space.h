// For programs and libraries that report only in words that a file system is full.
#pragma once

#include <string_view>

namespace hostos {

// The kernel's words, then those of mtools and mke2fs for the file system they are filling.
inline bool SaysNoSpace(std::string_view words) {
  for (const char* said :
       {"No space left on device", "Disk quota exceeded", "Disk full", "Could not allocate block"})
    if (words.contains(said)) return true;
  return false;
}

}  // namespace hostos

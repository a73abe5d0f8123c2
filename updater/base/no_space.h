// Programs and libraries that say only in words that they ran out of room.
#pragma once

#include <string_view>

namespace hostos {

// The kernel's words, then those of mtools and of mke2fs, of a file system that they fill.
inline bool SaysNoSpace(std::string_view words) {
  for (const char* said :
       {"No space left on device", "Disk quota exceeded", "Disk full", "Could not allocate block"})
    if (words.contains(said)) return true;
  return false;
}

}  // namespace hostos

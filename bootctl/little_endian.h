// Numbers as GPT, PE/COFF and UTF-16LE store them.
#pragma once

#include <bit>
#include <cstddef>
#include <cstring>

namespace hostos {

// The little-endian number at `bytes`, which need not be aligned.
template <class T>
T LittleEndian(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
  return value;
}

}  // namespace hostos

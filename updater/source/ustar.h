// The header block of a POSIX ustar archive (IEEE Std 1003.1, pax, "ustar Interchange Format"),
// which a bundle is.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <string_view>

namespace hostos {

inline constexpr uint64_t kTarBlock = 512;
inline constexpr std::string_view kTarMagic{
    "ustar\0"
    "00",
    8};

using TarBlock = std::array<std::byte, kTarBlock>;

// The header block, as the standard has it.
struct TarHeader {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
  char magic[8], user[32], group[32], major[8], minor[8], prefix[155], padding[12];
};
static_assert(sizeof(TarHeader) == kTarBlock);

inline uint64_t RoundUpTar(uint64_t size) {
  return (size + kTarBlock - 1) / kTarBlock * kTarBlock;
}

// The sum of the header's bytes, with spaces in place of the checksum.
inline uint64_t TarChecksum(TarHeader header) {
  std::ranges::fill(header.checksum, ' ');
  TarBlock bytes;
  std::memcpy(bytes.data(), &header, bytes.size());
  return std::accumulate(bytes.begin(), bytes.end(), uint64_t{0},
                         [](uint64_t sum, std::byte b) { return sum + std::to_integer<int>(b); });
}

}  // namespace hostos

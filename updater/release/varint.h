// Numbers as OSTree's sizes and delta packs have them: seven bits a byte, least significant first,
// the eighth set where more follow (as in protobuf, "Base 128 Varints").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hostos {

inline void AppendVarint(std::string& bytes, uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
}

// Nothing when the number does not end or does not fit.
inline std::optional<uint64_t> TakeVarint(std::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    if (shift == 63 && byte > 1) return std::nullopt;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

}  // namespace hostos

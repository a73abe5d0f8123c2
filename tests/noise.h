// Bytes that do not compress.
#pragma once

#include <cstring>
#include <random>
#include <string>

namespace hostos {

// Always the same for a seed.
inline std::string Noise(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size + sizeof(uint64_t), '\0');
  for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(&bytes[at], &word, sizeof word);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace hostos

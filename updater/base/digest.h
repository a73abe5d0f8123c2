// SHA-256 digests and their hexadecimal form.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "updater/base/result.h"

struct evp_md_ctx_st;

namespace hostos {

struct Digest {
  std::array<uint8_t, 32> bytes{};

  auto operator<=>(const Digest&) const = default;
  std::string Hex() const;
  // The first eight hexadecimal digits, for display.
  std::string Short() const { return Hex().substr(0, 8); }
  // Parses exactly 64 lower-case hexadecimal digits.
  static Result<Digest> FromHex(std::string_view hex);
};

std::string Hex(std::span<const uint8_t> bytes);

// Incremental SHA-256. A copy continues from the same state, so a salted prefix is hashed only
// once.
class Sha256 {
 public:
  Sha256();
  Sha256(const Sha256& other);
  Sha256& operator=(const Sha256& other);
  ~Sha256();

  void Update(std::span<const std::byte> data);
  // Ends the computation. Afterwards the object may only be assigned to or destroyed.
  Digest Finish();

  static Digest Of(std::span<const std::byte> data);

 private:
  evp_md_ctx_st* context_;
};

// SHA-256 of the first `size` bytes of a file; kFailed when it is shorter.
Result<Digest> HashFile(int fd, uint64_t size);

}  // namespace hostos

template <>
struct std::hash<hostos::Digest> {
  size_t operator()(const hostos::Digest& digest) const noexcept {
    size_t value;  // a digest is uniformly distributed, so any eight bytes serve
    std::memcpy(&value, digest.bytes.data(), sizeof value);
    return value;
  }
};

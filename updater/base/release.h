// What a release says about itself in the signed metadata of its OSTree commit, and the two slots
// it can live in. docs/seal-format.md lists the keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "updater/base/digest.h"

namespace hostos {

enum class Slot { A, B };
constexpr Slot Other(Slot slot) {
  return slot == Slot::A ? Slot::B : Slot::A;
}
constexpr const char* Name(Slot slot) {
  return slot == Slot::A ? "A" : "B";
}

// The rescue that a release brings. Its parts (updater/release/image_parts.h), or the image itself
// in older releases, are a file of the release's tree and so of its sealed image: a node that runs
// the release finds it there.
inline constexpr std::string_view kRescuePath = "/usr/lib/hostos/rescue.efi";
struct RescueImage {
  Digest digest;      // hostos.rescue-sha256
  uint64_t size = 0;  // hostos.rescue-size, bytes
  bool operator==(const RescueImage&) const = default;
};

struct Release {
  Digest commit;             // OSTree commit checksum
  std::string version;       // hostos.version, also os-release IMAGE_VERSION
  std::string architecture;  // hostos.architecture: "x86-64" or "arm64", as systemd spells it
  std::string channel;       // hostos.channel
  uint64_t timestamp = 0;    // of the commit, seconds since the epoch, UTC
  uint32_t seal_format = 0;  // hostos.seal-format
  Digest root_hash;          // hostos.root-hash: dm-verity root of the sealed image
  uint64_t image_size = 0;   // hostos.image-size: bytes of the erofs image
  uint64_t verity_size = 0;  // hostos.verity-size: bytes of the hash tree, superblock included
  Digest uki_digest;         // hostos.uki-sha256
  uint64_t uki_size = 0;     // hostos.uki-size, bytes
  std::optional<RescueImage> rescue = {};                     // absent: the release brings none
  std::vector<std::pair<std::string, std::string>> packages;  // hostos.packages: name, version
};

}  // namespace hostos

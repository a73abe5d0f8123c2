// What a unified kernel image says of itself: its .osrel and .cmdline sections, found as
// systemd-boot 257 finds them (src/boot/pe.c). Reads headers and at most 64 KiB a section, whatever
// the file claims; a hostile file costs bounded memory and is at worst not an image.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "updater/base/release.h"
#include "updater/base/result.h"

namespace hostos {

// PE/COFF machine types.
constexpr uint16_t kMachineX64 = 0x8664;
constexpr uint16_t kMachineArm64 = 0xaa64;

struct Uki {
  uint16_t machine = 0;
  std::string version;                  // IMAGE_VERSION, else VERSION, VERSION_ID, BUILD_ID
  std::optional<std::string> sort_key;  // IMAGE_ID, else ID
  std::optional<Digest> root_hash;      // roothash=; absent when there is none or more than one
  std::string command_line;             // .cmdline
  bool complete = false;                // the file is long enough for every section it lists
};

// Absent when the loader would not offer the file: not PE/COFF, no .osrel, or no name in it. An
// error means that the file could not be read.
Result<std::optional<Uki>> ReadUki(int fd);

// The image of a release: complete, for its architecture, with its version and root hash.
// kNotTrusted says what was expected and found otherwise.
Result<Uki> ReadUkiOf(int fd, const Release& release);

// The image of a rescue: complete, for this architecture, sorted after the releases, without a root
// hash. kNotTrusted says what was expected and found otherwise.
Result<Uki> ReadRescueUki(int fd, std::string_view architecture);

// The one roothash= of a kernel command line; absent when there is none, when it is not 64
// hexadecimal digits, or when there are two that differ.
std::optional<Digest> RootHashOf(std::string_view command_line);

}  // namespace hostos

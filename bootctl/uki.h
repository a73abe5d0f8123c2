// Reads what a unified kernel image says about itself: its .osrel and .cmdline sections, found as
// systemd-boot 257 finds them (src/boot/pe.c). Reads headers and at most 64 KiB per section,
// whatever the file claims: a hostile file costs bounded memory and is at worst not an image.
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
  std::optional<Digest> root_hash;      // see RootHashOf()
  std::string command_line;             // .cmdline
  bool complete = false;                // the file is long enough for every section it lists
};

// Absent when the loader would not offer the file: not PE/COFF, no .osrel, or no name in it. Fails
// only when the file cannot be read.
Result<std::optional<Uki>> ReadUki(int fd);

// Reads the image of a release: complete, for its architecture, with its version and root hash.
// Otherwise kNotTrusted, which says what was expected and found.
Result<Uki> ReadUkiOf(int fd, const Release& release);

// Reads the image of a rescue: complete, for this architecture, with the rescue's sort key and
// without a root hash. Otherwise kNotTrusted, which says what was expected and found.
Result<Uki> ReadRescueUki(int fd, std::string_view architecture);

// The one roothash= of a kernel command line; absent when there is none, when one is not 64
// hexadecimal digits, or when two differ.
std::optional<Digest> RootHashOf(std::string_view command_line);

}  // namespace hostos

// The Debian packages of a root, from dpkg's database.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

// dpkg's database in a root.
inline constexpr const char* kDpkgPath = "/usr/lib/sysimage/dpkg";
inline constexpr size_t kMaxStatus = 64 << 20;  // of its file `status`

inline constexpr size_t kMaxPackages = 20'000;

// A source package of one version.
struct DebianSource {
  std::string name, version;

  auto operator<=>(const DebianSource&) const = default;
};

struct DebianPackage {
  std::string name, version, architecture;
  std::string maintainer;       // "" when it says none
  uint64_t installed_size = 0;  // in KiB, as Debian counts; 0 when it says none
  DebianSource source;          // that it was built from
  // Sources of which parts are in it: those that Debian had to keep for it (Built-Using), and those
  // that it is linked with statically, such as Go modules and Rust crates (Static-Built-Using).
  std::vector<DebianSource> built_using;

  // The source whose advisories are about it. Debian signs its kernel by a source package that only
  // repackages what was built from `linux`; nobody writes advisories about that one.
  const DebianSource& Described() const;
};

// The installed packages by name and architecture. kFailed names the line of a paragraph that is
// damaged, that lacks a name, version or architecture, or that has an odd one.
Result<std::vector<DebianPackage>> ParseStatus(std::string_view status);

}  // namespace hostos

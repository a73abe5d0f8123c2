// Where a release has its software bill of materials (docs/sbom.md), and which CVEs its packages
// fixed (docs/changes.md): files of its root.
#pragma once

#include <cstdint>

namespace hostos {

inline constexpr const char* kCycloneDxPath = "/usr/share/sbom/hostos.cdx.json";
inline constexpr const char* kSpdxPath = "/usr/share/sbom/hostos.spdx.json";
inline constexpr const char* kChangesPath = "/usr/share/sbom/hostos.changes.json";
inline constexpr uint64_t kMaxSbomBytes = 64 << 20;

}  // namespace hostos

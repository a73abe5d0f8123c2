// Where a release has its software bill of materials (docs/sbom.md): files of its root.
#pragma once

#include <cstdint>

namespace hostos {

inline constexpr const char* kCycloneDxPath = "/usr/share/sbom/hostos.cdx.json";
inline constexpr const char* kSpdxPath = "/usr/share/sbom/hostos.spdx.json";
inline constexpr uint64_t kMaxSbomBytes = 64 << 20;

}  // namespace hostos

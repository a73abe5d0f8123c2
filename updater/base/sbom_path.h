// Where a release has its software bill of materials (docs/sbom.md): files of its root.
#pragma once

namespace hostos {

inline constexpr const char* kCycloneDxPath = "/usr/share/sbom/hostos.cdx.json";
inline constexpr const char* kSpdxPath = "/usr/share/sbom/hostos.spdx.json";

}  // namespace hostos

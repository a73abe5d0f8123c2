// Writes the software bill of materials of a root into it, so that a release brings its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "images/root_tree.h"
#include "updater/base/result.h"

namespace hostos {

struct SbomOptions {
  std::string tree;    // with its rescue, if it is to bring one
  std::string initrd;  // the release's; empty: not described
  // As rootfs/build keeps them; empty: what was fixed is not described.
  std::string changelogs;
  // Of the release, seconds since the epoch; absent: that of the tree's os-release, which
  // rootfs/build gives all its files.
  std::optional<uint64_t> timestamp;
};

// What was written.
struct MadeSbom {
  size_t packages = 0, sources = 0, programs = 0;
  size_t cves = 0;  // that changelogs name
};

// The same inputs give the same bytes, in kCycloneDxPath, kSpdxPath and kChangesPath of the tree.
// Each is written as a whole or not at all.
Result<MadeSbom> MakeSbom(const SbomOptions& options);

// kFailed when the tree has the SBOM or the changes of another version, or with other packages: one
// that was made before the tree was complete. A tree without one passes.
Result<> CheckSbom(const std::string& tree, const RootTree& root);

}  // namespace hostos

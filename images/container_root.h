// The root of a release as a tar archive, for containers and for WSL: the commit's files without
// what boots a machine, and with dpkg's database where scanners look for it. docs/images.md lists
// what differs.
#pragma once

#include <cstdint>
#include <string>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/source/scan.h"

namespace hostos {

enum class ContainerKind { kOci, kWsl };

struct ContainerRoot {
  Digest digest;  // SHA-256 of the archive
  uint64_t size = 0;
  uint64_t entries = 0;
};

// Writes the archive to `path`. The same release gives the same bytes; `time` is the release's.
// Compares every file with its checksum in the commit: kNotTrusted names the one that differs.
Result<ContainerRoot> WriteContainerRoot(const Scan& scan, uint64_t time, ContainerKind kind,
                                         const std::string& path);

}  // namespace hostos

// A release's tree on disk, as the sealer and a commit need it (updater/source/scan.h).
#pragma once

#include <string>

#include "updater/base/result.h"
#include "updater/source/scan.h"

namespace hostos {

// Computes every checksum as OSTree does. `path` must not change while the reader exists.
// kNotSupported for what a commit cannot hold: devices, sockets, pipes.
Result<Scan> ScanDirectory(const std::string& path);

}  // namespace hostos

// Compares an OCI image or a WSL root with the archive that its release makes. How the archive was
// compressed does not count, so a verifier may have another gzip than the publisher.
#pragma once

#include <string>

#include "images/container_root.h"
#include "updater/base/release.h"
#include "updater/base/result.h"

namespace hostos {

// An OCI archive: its layer is `root`, its documents are those of the release, and there is nothing
// else in it. kNotTrusted otherwise.
Result<> CheckOciArchive(const std::string& path, const Release& release,
                         const ContainerRoot& root);

// A file that gzip made of `root`.
Result<> CheckPackedRoot(const std::string& path, const ContainerRoot& root);

}  // namespace hostos

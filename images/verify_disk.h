// Proves the release that a disk image boots, from the signed commit that its state partition
// holds.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "images/verify_release.h"
#include "images/work_directory.h"

namespace hostos {

// `raw` is a disk as `disk` makes it, never booted. Appends a proof to `proofs` for each step that
// holds; the first that does not is the error. Not proven: the boot loader, which no release
// brings.
Result<Release> VerifyDisk(const std::string& raw, std::span<const PublicKey> trusted,
                           const SignatureRule& rule, const WorkDirectory& work, Progress& progress,
                           std::vector<Proof>& proofs);

}  // namespace hostos

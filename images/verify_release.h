// `hostimage verify`: proves everything a node relies on, from the repository alone.
#pragma once

#include <string>
#include <vector>

#include "images/signed_release.h"
#include "updater/base/progress.h"

namespace hostos {

// One thing that holds, in words.
struct Proof {
  std::string name;
  std::string detail;
};

// Appends a proof to `proofs` for each step that holds, in order. The first that does not is the
// error (kNotTrusted).
Result<Release> VerifyRelease(const ReleaseQuery& query, Progress& progress,
                              std::vector<Proof>& proofs);

}  // namespace hostos

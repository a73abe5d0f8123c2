// `hostimage verify --image`: proves a downloaded image, as a file and down to the root hash.
#pragma once

#include <string>
#include <vector>

#include "images/verify_release.h"

namespace hostos {

struct ImageQuery {
  std::string path;
  std::string name;  // the release that it is to hold, a ref or 64 hexadecimal digits; empty: any
  std::string repo;  // for OCI and WSL
  std::vector<std::string> keys;
  SignatureRule signatures;
  bool release_only = false;  // without SHA256SUMS
};

// Appends a proof to `proofs` for each step that holds, in order. The first that does not is the
// error: kNotTrusted, also when the image cannot be read as what it claims to be.
Result<Release> VerifyImage(const ImageQuery& query, Progress& progress,
                            std::vector<Proof>& proofs);

}  // namespace hostos

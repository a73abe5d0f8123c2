// A release in an archive repository, found by ref or commit. Its signatures are verified before
// anything else in it is used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/release/commit.h"
#include "updater/source/repo.h"

namespace hostos {

struct ReleaseQuery {
  std::string repo;
  std::string name;               // a ref, or 64 hexadecimal digits
  std::vector<std::string> keys;  // directories of *.pub
  SignatureRule signatures;       // which ones, and by how many distinct trusted keys
};

struct SignedRelease {
  Repo repo;
  SignedCommit commit;
  uint32_t valid_signatures = 0;
};

// kNotFound when the repository has no such release. kNotTrusted when it lacks good signatures, or
// when the ref is not one that the signed commit claims.
Result<SignedRelease> OpenSignedRelease(const ReleaseQuery& query);

}  // namespace hostos

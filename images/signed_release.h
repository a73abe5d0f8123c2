// A release as it lies in an archive repository, found by ref or commit, with its signatures
// verified before anything else of it is looked at.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/source/commit.h"
#include "updater/source/repo.h"

namespace hostos {

struct ReleaseQuery {
  std::string repo;
  std::string name;               // a ref, or 64 hexadecimal digits
  std::vector<std::string> keys;  // directories of *.pub
  SignatureRule signatures;       // which, and of how many distinct trusted keys
};

struct SignedRelease {
  Repo repo;
  Commit commit;
  std::string bytes;     // of the commit object
  std::string detached;  // its signatures: serialized detached metadata
  uint32_t valid_signatures = 0;
};

// kNotFound when the repository has no such release; kNotTrusted when it is not signed well enough,
// or when the ref is not one that the signed commit says is its own.
Result<SignedRelease> OpenSignedRelease(const ReleaseQuery& query);

}  // namespace hostos

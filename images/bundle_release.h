// A bundle is one file with everything that a node without network needs to install a release, by
// the same rules as with a network. See docs/trust.md.
#pragma once

#include <cstdint>
#include <string>

#include "updater/base/result.h"

namespace hostos {

struct BundleOptions {
  std::string repo;
  std::string product = "hostos";
  std::string architecture;
  std::string channel;
  std::string version;
  std::string from;  // nodes have this version: leave out its objects; empty: put all in
  std::string output;
};

struct BundleContent {
  uint64_t objects = 0;
  uint64_t bytes = 0;  // of the file
};

// Writes all metadata that is valid at `now`, as a node reads it that trusts the repository's first
// root. An existing file is replaced as a whole.
Result<BundleContent> BundleRelease(const BundleOptions& options, uint64_t now);

}  // namespace hostos

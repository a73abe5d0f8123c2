// A bundle: one file with what a node without network needs to install a release, by the rules it
// would follow with one. docs/trust.md.
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
  std::string from;  // a version that nodes have already: its objects stay away; empty: all go in
  std::string output;
};

struct BundleContent {
  uint64_t objects = 0;
  uint64_t bytes = 0;  // of the file
};

// Holds the metadata that counts at `now`, all of it, as a node that trusts the repository's first
// root reads it. An existing file is replaced, as a whole.
Result<BundleContent> BundleRelease(const BundleOptions& options, uint64_t now);

}  // namespace hostos

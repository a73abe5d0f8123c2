// Makes a release again, of what its provenance says, and compares: the same packages give the same
// root hash, boot image and rescue, whoever makes them, where and when (docs/provenance.md).
#pragma once

#include <string>
#include <vector>

#include "images/signed_release.h"
#include "updater/base/progress.h"
#include "updater/base/result.h"

namespace hostos {

struct ReproduceOptions {
  ReleaseQuery query;
  std::string product;
  std::string source;   // a checkout of the commit that the release was made of
  std::string install;  // a tree, as `cmake --install` of that checkout writes it
  std::string base;     // as `rootfs/build base` wrote it; empty: it is made, of today's archive
  std::string output;   // where all is made; it stays for a look when something differs
};

struct Reproduced {
  // What differs, and in it paths of the root; empty: everything is the same.
  std::vector<std::string> differences;
  Release release;  // as it was made again
};

// kFailed when it cannot be made of the same: another checkout, other programs, packages that the
// archive no longer has. The message names the first of them.
Result<Reproduced> Reproduce(const ReproduceOptions& options, Progress& progress);

}  // namespace hostos

// The rescue: the system the loader starts when no release is left that could. A unified kernel
// image whose root is its initrd, named so that it sorts after every release and before those
// without tries.
#pragma once

#include <string>

#include "updater/base/result.h"

namespace hostos {

struct RescueOptions {
  std::string tree;    // of the release it is made from: its kernel and os-release
  std::string initrd;  // path
  // Written whole or not at all; an existing file is replaced. Empty: kRescuePath in the tree,
  // where a release brings it to the nodes.
  std::string output;
  std::string architecture;
  std::string stub;  // path; empty: the build machine's
};

// The same inputs give the same bytes.
Result<> MakeRescue(const RescueOptions& options);

}  // namespace hostos

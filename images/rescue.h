// Makes the rescue: the system that the loader starts when no release can. It is a unified kernel
// image whose root is its initrd. Its sort key puts it after every release with tries left, and
// before those without.
#pragma once

#include <optional>
#include <string>

#include "updater/base/result.h"
#include "updater/base/unique_fd.h"

namespace hostos {

struct RescueOptions {
  std::string tree;    // the release's tree: gives kernel and os-release
  std::string initrd;  // path
  // Written as a whole or not at all; an existing file is replaced. Empty: kRescuePath in the tree,
  // where the release brings it to the nodes.
  std::string output;
  std::string architecture;
  std::string stub;  // path; empty: the build machine's
};

// The same inputs give the same bytes. In the tree it becomes its parts
// (updater/release/image_parts.h).
Result<> MakeRescue(const RescueOptions& options);

// The image of the rescue that a tree brings, if any, from its parts or as a whole. `work` is a
// directory for it.
Result<std::optional<UniqueFd>> OpenRescue(const std::string& tree, const std::string& work);

}  // namespace hostos

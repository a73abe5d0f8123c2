// Two releases of a 2 GB tree, to show that memory does not follow the size of an image.
#pragma once

#include "tests/node/file_node.h"

namespace hostos {

// In `directory`. The image of the first goes to `image`; the parent is left for the caller.
Result<Releases> MakeLargeReleases(const std::string& directory, const std::string& image);

}  // namespace hostos

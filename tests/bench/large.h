// Two releases of a 2 GB tree, to show that memory does not follow the size of an image.
#pragma once

#include "tests/bench/update_on_files.h"

namespace hostos {

Result<Releases> MakeLargeReleases(const std::string& directory);

}  // namespace hostos

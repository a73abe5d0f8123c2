// The files of a root file system inside of a boot image that was made from it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "images/publish/file_finder.h"
#include "updater/base/result.h"
#include "updater/release/image_parts.h"

namespace hostos {

inline constexpr size_t kMaxBootImage = 1 << 30;

// Opens files of the tree by their paths from its root on.
OpenPart PartsOf(const std::string& tree);

// Only files below /usr, because a node changes others; and not the rescue, which is such an image.
Result<std::vector<FileFinder::Found>> FindTreeFiles(const std::string& tree,
                                                     std::string_view image);

}  // namespace hostos

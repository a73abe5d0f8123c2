// What image.toml adds to the packages and HostOS's own files, as one tree that `rootfs/build
// release --files` lays over the rest.
#pragma once

#include <string>

#include "images/image_file.h"
#include "updater/base/digest.h"
#include "updater/base/result.h"

namespace hostos {

// Fills a directory that is there with the files, whom nodes trust, and what starts. kUsage, with
// the place in image.toml, for what cannot be in an image.
Result<> StageFiles(const ImageFile& image, const std::string& directory);

// One digest for everything below a directory, times excepted.
Result<Digest> DigestOfTree(const std::string& directory);

// kUsage when the finished root lacks a unit that image.toml enables.
Result<> CheckUnits(const ImageFile& image, const std::string& tree);

}  // namespace hostos

// Makes a release of image.toml, of packages or of a release of somebody else, publishes it, and
// makes its disks: `rootfs/build` and the verbs of hostimage, one after the other. What is there
// already, whole and made of the same, is not made again, so a build that was interrupted goes on
// where it stopped.
//
//   CACHE/bases/KEY           packages and initrds, by what they are made of
//   OUTPUT/VERSION            the root, and its initrds
//   OUTPUT/VERSION.json       what that was made of, as which commit, and the disks
//   OUTPUT/hostos-VERSION.raw
//   OUTPUT/base.log, release.log  what rootfs/build said
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "images/image_file.h"
#include "images/signed_release.h"
#include "updater/base/result.h"

namespace hostos {

struct BuildOptions {
  bool new_base = false;        // with today's packages
  std::string passphrase_file;  // empty: as secrets.h says
  // The release to build upon in place of packages; its trust is replaced.
  const SignedRelease* released = nullptr;
  // Runs a verb of hostimage.
  std::function<Result<>(const std::string& verb, const std::vector<std::string>& words)> run;
};

struct BuiltImage {
  std::string commit;              // hexadecimal
  std::vector<std::string> disks;  // paths
  std::string root;                // directory
};

// kRefused when the repository has this version already, made of something else. kStaged when the
// release lacks signatures; its disks are there then.
Result<BuiltImage> BuildImage(const ImageFile& image, const BuildOptions& options);

}  // namespace hostos

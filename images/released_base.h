// Takes a release apart into what `rootfs/build` makes releases of: its root, its initrd, and the
// part of the rescue that is not of the release itself.
#pragma once

#include <string>

#include "images/signed_release.h"
#include "updater/base/progress.h"
#include "updater/base/result.h"

namespace hostos {

// Proves every byte of the release first. Fills a directory that is there: tree, initrd,
// rescue-initrd, epoch, and `arguments`, which the release gave its kernel beside what every
// release does. kNotSupported for a release without a rescue.
Result<> FillReleasedBase(const SignedRelease& release, const std::string& directory,
                          Progress& progress);

}  // namespace hostos

// Reads a release's tree for the sealer from a commit in a repository. The builder reads it from a
// directory on disk (images/publish/scan_directory.h). Both give the same Tree, down to the order
// of its vectors: directories in the order of a depth-first walk, names sorted as bytes, a file at
// its first path. Its /boot is empty; the UKI that a commit carries there is returned separately.
//
// Limits, checked here because libostree does not: names of 1 to 255 bytes without '/', not "." or
// "..", sorted and unique; depth 64; a million entries; 64 xattrs of 64 KiB.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/base/tree.h"
#include "updater/source/repo.h"

namespace hostos {

struct Scan {
  Tree tree;
  std::unique_ptr<ContentReader> content;
  // /boot/hostos.efi, which `content` can open too. Anything else in /boot is an error.
  std::optional<FileObject> uki;
};

// When an object is malformed: kNotTrusted, naming the dirtree.
Result<Scan> ScanCommit(const Repo& repo, const Commit& commit);

}  // namespace hostos

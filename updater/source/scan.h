// Reading a release's tree for the sealer, from a commit in a repository or from a directory on
// disk. Both give the same Tree, down to the order of its vectors, for a commit and the directory
// it was made from: directories in the order of a depth-first walk, names sorted as bytes, a file
// at its first path. /boot is empty in it; the UKI that a commit carries there comes apart.
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
  // /boot/hostos.efi, which `content` opens too. Anything else in /boot is an error.
  std::optional<FileObject> uki;
};

// kNotTrusted, naming the dirtree, when an object is malformed.
Result<Scan> ScanCommit(const Repo& repo, const Digest& commit);

// Computes every checksum as OSTree does. `path` must not change before the reader is destroyed.
// kNotSupported for what a commit cannot hold: devices, sockets, pipes.
Result<Scan> ScanDirectory(const std::string& path);

}  // namespace hostos

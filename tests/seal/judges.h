// Who says whether a sealed image is right: the kernel, erofs-utils, veritysetup and ostree.
#pragma once

#include <string>

#include "tests/shell.h"
#include "tests/temp_dir.h"
#include "updater/base/tree.h"
#include "updater/seal/seal.h"

namespace hostos {

// The two files of a sealed tree; SealInto throws when sealing fails.
struct SealedFiles {
  std::string image;
  std::string verity;
  Sealed sealed;
};
SealedFiles SealInto(const TempDir& directory, const std::string& name, const Tree& tree,
                     ContentReader& content);

// Why this machine cannot mount an image, empty when it can.
std::string NoMountReason();

// An image, or a block device that holds one, mounted by the kernel while this lives.
class Mount {
 public:
  explicit Mount(const std::string& image);
  ~Mount();
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  const std::string& path() const { return point_.path(); }

 private:
  TempDir point_;
};

// CHECKs every path of the tree under `root`: type, mode, owner, links, content, xattrs and times,
// and that nothing else is there but /ostree.
void CheckSameTree(const Tree& tree, ContentReader& content, const std::string& root);

}  // namespace hostos

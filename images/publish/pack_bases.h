// Finds what the objects of a release may be based on: in the release before, the object at the
// same path; for a boot image, the files of its own release that it is made of.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>

#include "updater/base/result.h"
#include "updater/release/commit.h"
#include "updater/source/repo.h"

namespace hostos {

// The files, links and dirtrees of a commit by their paths, from "/" on. A dirtree's ends with '/'.
Result<std::map<std::string, Digest>> WalkPaths(const Repo& repo, const Commit& commit);

// Finds the object of another release at the same path, or at the one that differs only in
// versions:
// "/usr/lib/modules/6.12.117+deb13/a-1.ko" and "/usr/lib/modules/6.12.118+deb13/a-1.ko",
// "/usr/lib/libx.so.1.9" and "/usr/lib/libx.so.1.10".
class PathFinder {
 public:
  explicit PathFinder(const std::map<std::string, Digest>& paths);
  std::optional<Digest> Find(const std::string& path) const;

 private:
  // By the path itself, without versions of directories, and without any.
  std::array<std::map<std::string, Digest>, 3> found_;
};

}  // namespace hostos

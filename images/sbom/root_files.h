// The files of a root that is a directory of this machine. A link in it leads where it leads on a
// machine that runs the root, never out of it.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "images/sbom/dpkg.h"
#include "updater/base/result.h"
#include "updater/base/unique_fd.h"

namespace hostos {

class RootFiles {
 public:
  static Result<RootFiles> Open(const std::string& directory);

  // A regular file; kNotFound when nothing is there.
  Result<UniqueFd> OpenFile(const std::string& path) const;
  // All of it; nullopt when nothing is there, kFailed when it is larger than `cap`.
  Result<std::optional<std::string>> Read(const std::string& path, size_t cap) const;
  // Every file below /usr that may be executed, sorted, but none of dpkg's own.
  Result<std::vector<std::string>> Executables() const;

  const std::string& directory() const { return directory_; }

 private:
  RootFiles(std::string directory, UniqueFd fd)
      : directory_(std::move(directory)), fd_(std::move(fd)) {}

  std::string directory_;
  UniqueFd fd_;
};

// Which package brought a file, by dpkg's file lists.
class FileOwners {
 public:
  // kFailed when a package has no list.
  static Result<FileOwners> Load(const RootFiles& root, const std::vector<DebianPackage>& packages);

  // The package's place in `packages`; nullopt for what no package brought.
  std::optional<size_t> Of(const std::string& path) const;

 private:
  std::unordered_map<std::string, size_t> owners_;
};

}  // namespace hostos

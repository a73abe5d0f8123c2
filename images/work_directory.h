// A private directory for intermediate files, beside the result, so that finished files can be
// renamed into place. Removed with its content when the object is destroyed.
#pragma once

#include <string>
#include <utility>

#include "updater/base/result.h"

namespace hostos {

class WorkDirectory {
 public:
  // Makes "PATH.XXXXXX" with mode 0700.
  static Result<WorkDirectory> Beside(const std::string& path);

  WorkDirectory(WorkDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  WorkDirectory& operator=(WorkDirectory&&) = delete;
  ~WorkDirectory();

  // The path of a file or directory in it.
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  // Absolute.
  const std::string& path() const { return path_; }

 private:
  explicit WorkDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// fsync, rename onto `path`, fsync of its directory: whatever is there afterwards is whole.
Result<> PublishFile(const std::string& temporary, const std::string& path);

}  // namespace hostos

// An erofs image, mounted read-only while the object lives.
#pragma once

#include <string>

#include "tests/vm/process.h"
#include "updater/base/atomic_file.h"

namespace hostos {

class Mounted {
 public:
  static Result<Mounted> At(const std::string& image, const std::string& path,
                            const std::string& log) {
    TRY(MakeDirectories(path));
    TRY(Process::Run({"mount", "-t", "erofs", "-o", "loop,ro", image, path}, log));
    return Mounted(path, log);
  }
  Mounted(Mounted&& other) noexcept
      : path_(std::exchange(other.path_, {})), log_(std::move(other.log_)) {}
  Mounted& operator=(Mounted&&) = delete;
  ~Mounted() {
    if (!path_.empty()) (void)Process::Run({"umount", path_}, log_);  // a failure shows in the log
  }

  const std::string& path() const { return path_; }

 private:
  Mounted(std::string path, std::string log) : path_(std::move(path)), log_(std::move(log)) {}
  std::string path_, log_;
};

}  // namespace hostos

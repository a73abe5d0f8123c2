#include "updater/base/space.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <limits>

namespace hostos {

Result<Space> SizeOnDisk(const std::string& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) < 0) return FailErrno(path);
  constexpr uint64_t kUnit = 512;  // stat(3type), whatever the file system's block size
  return Space{.bytes = kUnit * static_cast<uint64_t>(status.st_blocks), .inodes = 1};
}

Result<Space> FreeSpaceAt(const std::string& path) {
  struct statvfs status;
  if (::statvfs(path.c_str(), &status) < 0) return FailErrno(path);
  // A file system that makes inodes on demand reports none. The substitute fits into JSON.
  constexpr uint64_t kAny = std::numeric_limits<int64_t>::max();
  return Space{.bytes = uint64_t{status.f_bavail} * status.f_frsize,
               .inodes = status.f_files == 0 ? kAny : status.f_favail};
}

}  // namespace hostos

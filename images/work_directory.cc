#include "images/work_directory.h"

#include <stdlib.h>

#include <filesystem>

#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

namespace hostos {

namespace fs = std::filesystem;

Result<WorkDirectory> WorkDirectory::Beside(const std::string& path) {
  std::error_code error;
  std::string name = fs::absolute(path, error).lexically_normal().string();
  while (name.ends_with('/')) name.pop_back();
  name += ".XXXXXX";
  if (!::mkdtemp(name.data())) return FailErrno("cannot make a work directory " + name);
  return WorkDirectory(std::move(name));
}

WorkDirectory::~WorkDirectory() {
  std::error_code error;
  if (!path_.empty()) fs::remove_all(path_, error);  // what cannot be removed does no harm
}

Result<> PublishFile(const std::string& temporary, const std::string& path) {
  UniqueFd file = TRY(Open(temporary, O_RDONLY));
  if (::fsync(file.get()) < 0) return FailErrno(temporary + ": fsync");
  if (::rename(temporary.c_str(), path.c_str()) < 0)
    return FailErrno(std::format("rename {} to {}", temporary, path));
  const std::string directory = fs::path(path).parent_path();
  return SyncDirectory(directory.empty() ? "." : directory);
}

}  // namespace hostos

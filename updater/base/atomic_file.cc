#include "updater/base/atomic_file.h"

#include <sys/stat.h>

#include <cstdio>
#include <filesystem>

#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

std::string DirectoryOf(const std::string& path) {
  std::string directory = std::filesystem::path(path).parent_path();
  return directory.empty() ? "." : directory;
}

Result<> WriteAndSync(const std::string& path, std::string_view content, mode_t mode) {
  UniqueFd fd = TRY(Open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode));
  TRY_CONTEXT(path, WriteFull(fd.get(), AsBytes(content)));
  if (::fsync(fd.get()) < 0) return FailErrno(path + ": fsync");
  return fd.Close();
}

}  // namespace

Result<> WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode) {
  const std::string temporary = path + ".tmp";
  Result<> written = WriteAndSync(temporary, content, mode);
  if (written && ::rename(temporary.c_str(), path.c_str()) < 0) written = FailErrno(path);
  if (!written) {
    (void)::unlink(temporary.c_str());  // the write's own error says more
    return written;
  }
  return SyncDirectory(DirectoryOf(path));
}

Result<> RemoveFileDurably(const std::string& path) {
  if (::unlink(path.c_str()) < 0) {
    if (errno == ENOENT) return {};
    return FailErrno(path);
  }
  return SyncDirectory(DirectoryOf(path));
}

Result<> SyncDirectory(const std::string& path) {
  UniqueFd fd = TRY(Open(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) < 0) return FailErrno(path + ": fsync");
  return {};
}

Result<> MakeDirectories(const std::string& path, mode_t mode) {
  for (size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), mode) < 0 && errno != EEXIST) return FailErrno(part);
    if (at == std::string::npos) return {};
  }
}

}  // namespace hostos

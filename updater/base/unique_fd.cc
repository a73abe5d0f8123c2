#include "updater/base/unique_fd.h"

#include <sys/socket.h>

namespace hostos {

Result<> UniqueFd::Close() {
  int fd = release();
  if (fd >= 0 && ::close(fd) < 0 && errno != EINTR) return FailErrno("close");
  return {};
}

Result<UniqueFd> OpenAt(int dir, const std::string& path, int flags, mode_t mode) {
  int fd;
  do fd = ::openat(dir, path.c_str(), flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return FailErrno(path);
  return UniqueFd(fd);
}

Result<UniqueFd> Open(const std::string& path, int flags, mode_t mode) {
  return OpenAt(AT_FDCWD, path, flags, mode);
}

Result<std::pair<UniqueFd, UniqueFd>> StreamPair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
    return FailErrno("socketpair");
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

namespace {

// Calls `io(position)` until `size` bytes are done, or until it returns 0 for the end.
template <class Io>
Result<size_t> Repeat(const char* what, size_t size, Io io) {
  size_t done = 0;
  while (done < size) {
    ssize_t n = io(done);
    if (n < 0) {
      if (errno == EINTR) continue;
      return FailErrno(what);
    }
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

}  // namespace

Result<size_t> ReadFull(int fd, std::span<std::byte> buffer) {
  return Repeat("read", buffer.size(),
                [&](size_t at) { return ::read(fd, buffer.data() + at, buffer.size() - at); });
}

Result<size_t> PreadFull(int fd, std::span<std::byte> buffer, uint64_t offset) {
  return Repeat("read", buffer.size(), [&](size_t at) {
    return ::pread(fd, buffer.data() + at, buffer.size() - at, static_cast<off_t>(offset + at));
  });
}

Result<> WriteFull(int fd, std::span<const std::byte> data) {
  size_t done = TRY(Repeat("write", data.size(), [&](size_t at) {
    return ::write(fd, data.data() + at, data.size() - at);
  }));
  if (done < data.size()) return FailErrno("write", ENOSPC);
  return {};
}

Result<> PwriteFull(int fd, std::span<const std::byte> data, uint64_t offset) {
  size_t done = TRY(Repeat("write", data.size(), [&](size_t at) {
    return ::pwrite(fd, data.data() + at, data.size() - at, static_cast<off_t>(offset + at));
  }));
  if (done < data.size()) return FailErrno("write", ENOSPC);
  return {};
}

Result<std::string> ReadFileAt(int dir, const std::string& path, size_t cap) {
  UniqueFd fd = TRY(OpenAt(dir, path, O_RDONLY));
  std::string text;
  for (;;) {
    size_t at = text.size();
    text.resize(std::min(cap + 1, at + 65536));
    size_t n =
        TRY_CONTEXT(path, ReadFull(fd.get(), std::as_writable_bytes(std::span(text).subspan(at))));
    text.resize(at + n);
    if (text.size() > cap) return Fail(Code::kFailed, "{}: larger than {} bytes", path, cap);
    if (n == 0) return text;
  }
}

Result<std::string> ReadFile(const std::string& path, size_t cap) {
  return ReadFileAt(AT_FDCWD, path, cap);
}

}  // namespace hostos

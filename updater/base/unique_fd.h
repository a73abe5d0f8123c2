// A file descriptor with one owner, and whole reads and writes on it. Every descriptor is
// O_CLOEXEC. EINTR is retried; a short read at the end of the file is reported by the count.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "updater/base/result.h"

namespace hostos {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd() {
    if (fd_ >= 0) (void)::close(fd_);  // a file that matters was closed by Close()
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  // Closes and reports what close(2) reports: the last chance to hear of a failed write.
  Result<> Close();

 private:
  int fd_ = -1;
};

// open(2) with O_CLOEXEC; the error names the path.
Result<UniqueFd> Open(const std::string& path, int flags, mode_t mode = 0);
Result<UniqueFd> OpenAt(int dir, const std::string& path, int flags, mode_t mode = 0);

// The two ends of a stream socket (unix(7)).
Result<std::pair<UniqueFd, UniqueFd>> StreamPair();

// Reads until `buffer` is full or the file ends; returns the number of bytes read.
Result<size_t> ReadFull(int fd, std::span<std::byte> buffer);
Result<size_t> PreadFull(int fd, std::span<std::byte> buffer, uint64_t offset);
Result<> WriteFull(int fd, std::span<const std::byte> data);
Result<> PwriteFull(int fd, std::span<const std::byte> data, uint64_t offset);

// The whole file, refused with kFailed when it is larger than `cap` bytes.
Result<std::string> ReadFile(const std::string& path, size_t cap = 1 << 20);
Result<std::string> ReadFileAt(int dir, const std::string& path, size_t cap = 1 << 20);

inline std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace hostos

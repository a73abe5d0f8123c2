// A file descriptor with one owner, and complete reads and writes. Every descriptor is O_CLOEXEC.
// EINTR is retried. At the end of a file the returned count is short.
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
    if (fd_ >= 0) (void)::close(fd_);  // files that matter use Close()
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  // Closes and returns the error of close(2), the last chance to learn of a failed write.
  Result<> Close();

 private:
  int fd_ = -1;
};

// open(2) with O_CLOEXEC; the error names the path.
Result<UniqueFd> Open(const std::string& path, int flags, mode_t mode = 0);
Result<UniqueFd> OpenAt(int dir, const std::string& path, int flags, mode_t mode = 0);

// The two ends of a stream socket pair (unix(7)).
Result<std::pair<UniqueFd, UniqueFd>> StreamPair();

// Reads until `buffer` is full or the file ends; returns the number of bytes read.
Result<size_t> ReadFull(int fd, std::span<std::byte> buffer);
Result<size_t> PreadFull(int fd, std::span<std::byte> buffer, uint64_t offset);
Result<> WriteFull(int fd, std::span<const std::byte> data);
Result<> PwriteFull(int fd, std::span<const std::byte> data, uint64_t offset);

// The whole file; kFailed when it is larger than `cap` bytes.
Result<std::string> ReadFile(const std::string& path, size_t cap = 1 << 20);
Result<std::string> ReadFileAt(int dir, const std::string& path, size_t cap = 1 << 20);

inline std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace hostos

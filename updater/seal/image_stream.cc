#include "updater/seal/image_stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "updater/base/unique_fd.h"

namespace hostos {

Result<> ImageStream::Append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    std::span<std::byte> room = TRY(Room());
    size_t n = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), n);
    filled_ += n;
    bytes = bytes.subspan(n);
  }
  return {};
}

Result<> ImageStream::AppendFrom(int fd, uint64_t size) {
  for (uint64_t left = size; left > 0;) {
    std::span<std::byte> room = TRY(Room());
    size_t wanted = std::min<uint64_t>(room.size(), left);
    size_t n = TRY(ReadFull(fd, room.first(wanted)));
    if (n < wanted)
      return Fail(Code::kFailed, "expected {} bytes, found {}", size, size - left + n);
    filled_ += n;
    left -= n;
  }
  return {};
}

Result<> ImageStream::PadTo(uint64_t offset) {
  while (sent_ + filled_ < offset) {
    std::span<std::byte> room = TRY(Room());
    size_t n = std::min<uint64_t>(room.size(), offset - sent_ - filled_);
    std::memset(room.data(), 0, n);
    filled_ += n;
  }
  return {};
}

Result<std::span<std::byte>> ImageStream::Room() {
  if (filled_ == buffer_.size()) TRY(Flush());
  return std::span(buffer_).subspan(filled_);
}

Result<> ImageStream::Flush() {
  for (size_t sent = 0; sent < filled_;) {
    const ssize_t n = ::send(socket_, &buffer_[sent], filled_ - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    abandoned_ = n < 0 && (errno == EPIPE || errno == ECONNRESET);
    if (n < 0) return FailErrno("image");
    sent += static_cast<size_t>(n);
  }
  sent_ += std::exchange(filled_, 0);
  return {};
}

}  // namespace hostos

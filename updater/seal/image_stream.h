// The bytes of an image on their way out: sent in large pieces, from the first to the last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

class ImageStream {
 public:
  // `socket` is a stream socket.
  explicit ImageStream(int socket) : socket_(socket), buffer_(1 << 20) {}

  Result<> Append(std::span<const std::byte> bytes);
  // The next `size` bytes of `fd`. kFailed says how many came when the file ends before.
  Result<> AppendFrom(int fd, uint64_t size);
  // Zeros up to `offset` of the image, which is not behind us.
  Result<> PadTo(uint64_t offset);
  // Sends what is left.
  Result<> Flush();
  // An error was that nobody reads any more.
  bool abandoned() const { return abandoned_; }

 private:
  // The free part of the buffer, never empty.
  Result<std::span<std::byte>> Room();

  int socket_;
  std::vector<std::byte> buffer_;
  size_t filled_ = 0;  // of `buffer_`
  uint64_t sent_ = 0;  // bytes of the image before `buffer_`
  bool abandoned_ = false;
};

}  // namespace hostos

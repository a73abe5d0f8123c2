// Sends the bytes of an image, from first to last, in large pieces.
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
  // Appends the next `size` bytes of `fd`. If the file ends early, kFailed says how many there
  // were.
  Result<> AppendFrom(int fd, uint64_t size);
  // Appends zeros up to `offset` of the image, which must not be behind the current position.
  Result<> PadTo(uint64_t offset);
  // Sends the rest.
  Result<> Flush();
  // Whether the error was that nobody reads any more.
  bool abandoned() const { return abandoned_; }

 private:
  // The free part of the buffer; never empty.
  Result<std::span<std::byte>> Room();

  int socket_;
  std::vector<std::byte> buffer_;
  size_t filled_ = 0;  // of `buffer_`
  uint64_t sent_ = 0;  // bytes of the image sent before `buffer_`
  bool abandoned_ = false;
};

}  // namespace hostos

// Messages over a stream socket: four bytes of length, least significant first, then that many
// bytes. A request may carry a descriptor. The other end can send anything: what Receive() returns
// is bounded, and is only bytes.
#pragma once

#include <string>
#include <string_view>

#include "updater/base/clock.h"
#include "updater/base/result.h"
#include "updater/base/unique_fd.h"

namespace hostos {

inline constexpr size_t kMaxMessageBytes = 64 << 10;  // unless the caller gives another cap

// From now on a transfer on the socket that takes longer is an error. 0: no limit.
Result<> SetPatience(int socket, Seconds patience);

class Channel {
 public:
  explicit Channel(UniqueFd socket) : socket_(std::move(socket)) {}

  Result<> SetPatience(Seconds patience) const {
    return hostos::SetPatience(socket_.get(), patience);
  }
  Result<> Send(std::string_view message, int descriptor = -1) const;
  // kNetwork when the other end is gone, is silent for longer than the patience, or sends more than
  // `cap` bytes. Descriptors are dropped unless they are asked for; then the first one counts.
  Result<std::string> Receive(size_t cap = kMaxMessageBytes, UniqueFd* descriptor = nullptr) const;

 private:
  Result<> ReceiveAll(std::span<std::byte> bytes, UniqueFd* descriptor) const;

  UniqueFd socket_;
};

}  // namespace hostos

#include "updater/fetch/channel.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace hostos {
namespace {

constexpr size_t kLengthBytes = 4;

// Room for the control message of one descriptor (unix(7), SCM_RIGHTS).
struct OneDescriptor {
  alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(int))] = {};
};

msghdr MessageOf(iovec& io, OneDescriptor* control) {
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  if (control) {
    message.msg_control = control->bytes;
    message.msg_controllen = sizeof control->bytes;
  }
  return message;
}

Result<> SendAll(int socket, std::string_view bytes, int descriptor) {
  for (bool first = true; !bytes.empty(); first = false) {
    iovec io{const_cast<char*>(bytes.data()), bytes.size()};
    OneDescriptor control;
    msghdr message = MessageOf(io, first && descriptor >= 0 ? &control : nullptr);
    if (message.msg_control) {
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof descriptor);
      std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
    const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0) return Fail(Code::kNetwork, "{}", FailErrno("sending").error().message);
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return {};
}

}  // namespace

Result<> SetPatience(int socket, Seconds patience) {
  const timeval time{.tv_sec = patience.count(), .tv_usec = 0};
  if (::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) < 0 ||
      ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) < 0)
    return FailErrno("setsockopt");
  return {};
}

Result<> Channel::Send(std::string_view message, int descriptor) const {
  std::array<char, kLengthBytes> length;
  for (size_t i = 0; i < kLengthBytes; i++)
    length[i] = static_cast<char>((message.size() >> (8 * i)) & 0xff);
  TRY(SendAll(socket_.get(), {length.data(), length.size()}, descriptor));
  return SendAll(socket_.get(), message, -1);
}

Result<std::string> Channel::Receive(size_t cap, UniqueFd* descriptor) const {
  std::array<std::byte, kLengthBytes> length;
  TRY(ReceiveAll(length, descriptor));
  size_t size = 0;
  for (size_t i = 0; i < kLengthBytes; i++) size |= static_cast<size_t>(length[i]) << (8 * i);
  if (size > cap)
    return Fail(Code::kNetwork, "expected a message of at most {} bytes, found {}", cap, size);
  std::string message(size, '\0');
  TRY(ReceiveAll(std::as_writable_bytes(std::span(message)), nullptr));
  return message;
}

// One call for all the bytes, so that the patience covers the whole and not each byte.
Result<> Channel::ReceiveAll(std::span<std::byte> bytes, UniqueFd* descriptor) const {
  if (bytes.empty()) return {};
  iovec io{bytes.data(), bytes.size()};
  OneDescriptor control;
  msghdr message = MessageOf(io, descriptor ? &control : nullptr);
  const ssize_t received = ::recvmsg(socket_.get(), &message, MSG_WAITALL | MSG_CMSG_CLOEXEC);
  if (const cmsghdr* header = descriptor ? CMSG_FIRSTHDR(&message) : nullptr;
      header && header->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    *descriptor = UniqueFd(fd);
  }
  if (received < 0 && errno != EAGAIN)
    return Fail(Code::kNetwork, "{}", FailErrno("receiving").error().message);
  if (received == 0) return Fail(Code::kNetwork, "expected a message, found the end");
  if (received != static_cast<ssize_t>(bytes.size()))
    return Fail(Code::kNetwork, "expected {} bytes in time, found {}", bytes.size(),
                std::max<ssize_t>(received, 0));
  return {};
}

}  // namespace hostos

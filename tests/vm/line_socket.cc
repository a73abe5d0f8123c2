#include "tests/vm/line_socket.h"

#include <sys/socket.h>

namespace hostos {

Result<LineSocket> LineSocket::Make() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
    return FailErrno("socketpair");
  LineSocket socket;
  socket.near_ = UniqueFd(ends[0]);
  socket.far_ = UniqueFd(ends[1]);
  return socket;
}

Result<> LineSocket::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::send(near_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FailErrno("send to QEMU");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<bool> LineSocket::Receive() {
  char piece[65536];
  for (;;) {
    ssize_t n = ::recv(near_.get(), piece, sizeof piece, MSG_DONTWAIT);
    if (n > 0) {
      buffer_.append(piece, static_cast<size_t>(n));
    } else if (n == 0 || errno == ECONNRESET) {
      return false;
    } else if (errno == EAGAIN) {
      return true;
    } else if (errno != EINTR) {
      return FailErrno("receive from QEMU");
    }
  }
}

std::optional<std::string> LineSocket::NextLine() {
  size_t end = buffer_.find('\n');
  if (end == std::string::npos) return std::nullopt;
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  return line;
}

}  // namespace hostos

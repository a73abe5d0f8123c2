#include "tests/source/hostile_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <format>
#include <stdexcept>

namespace hostos {
namespace {

constexpr int kOneSecond = 1000;
constexpr size_t kPiece = 64 << 10;

std::string Head(std::string_view status, std::string_view more) {
  return std::format("HTTP/1.1 {}\r\n{}\r\n", status, more);
}
std::string Length(size_t bytes) {
  return std::format("Content-Length: {}\r\n", bytes);
}

// The path of a request once its head is complete; "" when the client went away.
std::string ReadRequest(int connection) {
  std::string head;
  while (!head.contains("\r\n\r\n")) {
    char buffer[4096];
    const ssize_t size = ::recv(connection, buffer, sizeof buffer, 0);
    if (size <= 0) return "";
    head.append(buffer, static_cast<size_t>(size));
  }
  const size_t begin = head.find(' ') + 1;
  return head.substr(begin, head.find(' ', begin) - begin);
}

}  // namespace

HostileServer::HostileServer(std::string root, Script script, std::string other)
    : root_(std::move(root)), script_(std::move(script)), other_(std::move(other)) {
  listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), any, size) < 0 || ::listen(listener_.get(), 64) < 0 ||
      ::getsockname(listener_.get(), any, &size) < 0)
    throw std::runtime_error("hostile server: no socket");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

// Shutting a socket down wakes up whoever waits for it.
HostileServer::~HostileServer() {
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  for (const UniqueFd& connection : connections_) ::shutdown(connection.get(), SHUT_RDWR);
  for (std::thread& thread : threads_) thread.join();
}

std::string HostileServer::url() const {
  return std::format("http://127.0.0.1:{}", port_);
}

int HostileServer::requests(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(path);
  return found == counts_.end() ? 0 : found->second;
}

void HostileServer::Accept() {
  for (;;) {
    UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) return;
    const int fd = connection.get();
    connections_.push_back(std::move(connection));
    threads_.emplace_back([this, fd] { Serve(fd); });
  }
}

void HostileServer::Serve(int connection) {
  for (std::string path = ReadRequest(connection); !path.empty(); path = ReadRequest(connection))
    if (!Answer(connection, path)) break;
  ::shutdown(connection, SHUT_RDWR);
}

bool HostileServer::Send(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(size));
    sent_ += static_cast<uint64_t>(size);
  }
  return true;
}

bool HostileServer::Wait(int connection) {
  char byte;
  (void)::recv(connection, &byte, 1, 0);  // the client only says that it ends
  return false;
}

bool HostileServer::Answer(int connection, const std::string& path) {
  int count = 0;
  {
    const std::lock_guard lock(mutex_);
    count = counts_[path]++;
  }
  const Mischief mischief = script_(path, count);
  const Result<std::string> file = ReadFile(root_ + path, 1 << 30);
  if (!file) return Send(connection, Head("404 Not Found", Length(0)));
  const std::string_view body = *file;
  const std::string_view half = body.substr(0, body.size() / 2);
  const auto send = [&](std::string_view status, std::string_view more, std::string_view bytes) {
    return Send(connection, Head(status, more)) && Send(connection, bytes);
  };
  switch (mischief) {
    case Mischief::kNone:
      return send("200 OK", Length(body.size()), body);
    case Mischief::kStall:
      return send("200 OK", Length(body.size()), half) && Wait(connection);
    case Mischief::kDrip: {
      if (!send("200 OK", Length(body.size()), "")) return false;
      for (size_t i = 0; i < body.size(); i++) {
        pollfd gone{connection, POLLRDHUP, 0};
        if (!Send(connection, body.substr(i, 1)) || ::poll(&gone, 1, kOneSecond) > 0) return false;
      }
      return true;
    }
    case Mischief::kReset: {
      (void)send("200 OK", Length(body.size()), half);
      const linger at_once{.l_onoff = 1, .l_linger = 0};
      (void)::setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      // close(2) sends the RST; shutdown(2) would end the connection properly. The descriptor's
      // number stays in use here.
      const UniqueFd nothing(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      (void)::dup3(nothing.get(), connection, O_CLOEXEC);
      return false;
    }
    case Mischief::kLengthTooLong:
      (void)send("200 OK", Length(body.size() + 100), body);
      return false;
    case Mischief::kLengthTooShort:
      (void)send("200 OK", Length(half.size()), body);
      return false;
    case Mischief::kEndless: {
      if (!send("200 OK", "Connection: close\r\n", body)) return false;
      const std::string zeros(kPiece, '\0');
      while (Send(connection, zeros)) {
      }
      return false;
    }
    case Mischief::kProxyPage: {
      constexpr std::string_view kPage =
          "<html><body>Please log in to the hotel's network.</body></html>\n";
      return send("200 OK", Length(kPage.size()) + "Content-Type: text/html\r\n", kPage);
    }
    case Mischief::kRedirectToPlain:
      return send("302 Found", "Location: http://127.0.0.1:9/elsewhere\r\n" + Length(0), "");
    case Mischief::kTimeout:
      return send("408 Request Timeout", Length(0), "");
    case Mischief::kTooMany:
      return send("429 Too Many Requests", "Retry-After: 1\r\n" + Length(0), "");
    case Mischief::kTooManyForLong:
      return send("429 Too Many Requests", "Retry-After: 86400\r\n" + Length(0), "");
    case Mischief::kError:
      return send("500 Internal Server Error", Length(0), "");
    case Mischief::kOther:
      return send("200 OK", Length(other_.size()), other_);
  }
  return false;
}

}  // namespace hostos

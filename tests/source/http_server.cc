#include "tests/source/http_server.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <format>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr char kMarker[] = "/.access-log-marker";

void Check(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("http server: ") + what);
}

sockaddr_in Address(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

}  // namespace

// nginx inherits a socket that already listens (which is how it replaces its own binary). So nobody
// else can take the port, and no request comes too early.
HttpServer::HttpServer(const std::string& root, const std::string& extra) {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address = Address(0);
  socklen_t size = sizeof address;
  Check(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
  Check(::listen(listener.get(), 64) == 0, "listen");
  Check(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0, "name");
  port_ = ntohs(address.sin_port);

  const std::string& own = directory_.path();
  std::ofstream(directory_ / "nginx.conf") << std::format(
      "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;\n"
      "events {{}}\n"
      "http {{\n"
      "  log_format bytes '$status $body_bytes_sent $bytes_sent $request_uri';\n"
      "  access_log {0}/access.log bytes;\n"
      "  client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f;\n"
      "  uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n"
      "  keepalive_requests 1000000;\n"
      "  server {{ listen 127.0.0.1:{1}; root {2};\n{3}\n  }}\n"
      "}}\n",
      own, port_, root, extra);
  std::string config = directory_ / "nginx.conf", log = directory_ / "error.log";
  std::string inherited = std::format("{};", listener.get());

  pid_ = ::fork();
  Check(pid_ >= 0, "fork");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::setenv("NGINX", inherited.c_str(), 1);
    ::execlp("nginx", "nginx", "-p", own.c_str(), "-c", config.c_str(), "-e", log.c_str(), nullptr);
    ::_exit(127);
  }
}

HttpServer::~HttpServer() {
  ::kill(pid_, SIGKILL);  // there is nothing to shut down cleanly
  ::waitpid(pid_, nullptr, 0);
}

std::vector<HttpRequest> HttpServer::Requests() const {
  // nginx is one process: once the request made here is answered, every earlier one is in the log.
  UniqueFd connection(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Address(port_);
  Check(::connect(connection.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0,
        "connect");
  std::string request = std::format("GET {} HTTP/1.0\r\n\r\n", kMarker);
  Check(WriteFull(connection.get(), AsBytes(request)).has_value(), "request");
  std::array<std::byte, 4096> answer;
  while (ReadFull(connection.get(), answer).value_or(0) > 0) {
  }

  std::vector<HttpRequest> requests;
  std::ifstream log(directory_ / "access.log");
  for (std::string line; std::getline(log, line) && !log.eof();) {
    HttpRequest entry;
    std::istringstream(line) >> entry.status >> entry.body_bytes >> entry.bytes >> entry.path;
    if (entry.path != kMarker) requests.push_back(std::move(entry));
  }
  return requests;
}

}  // namespace hostos

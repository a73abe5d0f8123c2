// A real web server for tests: nginx on a directory, on 127.0.0.1 and a port of the kernel's
// choice, for as long as the object lives. Every request and what it moved can be read from its
// access log.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/temp_dir.h"

namespace hostos {

struct HttpRequest {
  std::string path;
  int status = 0;
  uint64_t body_bytes = 0;
  uint64_t bytes = 0;  // with the response's headers
};

// For `extra`: a store whose users may not list what is there, and so are forbidden what is not.
inline constexpr const char* kForbidsTheAbsent =
    "error_page 404 =403 /absent; location = /absent { internal; return 403; }";

class HttpServer {
 public:
  // `extra` is put into nginx's server block as it is: locations, limit_rate, ...
  explicit HttpServer(const std::string& root, const std::string& extra = "");
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  uint16_t port() const { return port_; }

  // Every request whose response has been sent, in the order of their ends.
  std::vector<HttpRequest> Requests() const;

 private:
  TempDir directory_;
  uint16_t port_ = 0;
  int pid_ = -1;
};

}  // namespace hostos

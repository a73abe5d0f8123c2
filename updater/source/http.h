// Bounded HTTP GET for the few small files of a resolve: the metadata, the targets, the commit
// object, its signatures. The only user of libcurl. Everything has a limit: bytes, connecting, a
// stalled transfer, the whole transfer, redirects (to https, or to the same scheme, host and port).
// Transient failures are retried with a growing pause, or the one that the server asks for
// (Retry-After).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "updater/base/clock.h"
#include "updater/base/progress.h"
#include "updater/base/result.h"
#include "updater/base/traffic.h"

namespace hostos {

struct HttpOptions {
  Milliseconds connect_timeout{10'000};
  Milliseconds total_timeout{120'000};
  Seconds stall_timeout{20};  // slower than 1 kB/s for this long
  // A pull may take `pull_time`, plus one second for each `pull_rate` bytes to be downloaded.
  Seconds pull_time{600};
  uint64_t pull_rate = 8000;
  Seconds PullTime(uint64_t bytes) const {
    return pull_time + Seconds(bytes / pull_rate) + LimitedTime(bytes);
  }
  uint64_t rate_limit = 0;  // bytes per second that a client receives; 0: no limit
  // What the limit adds to the time that so many bytes may take.
  Seconds LimitedTime(uint64_t bytes) const { return Seconds(rate_limit ? bytes / rate_limit : 0); }
  int attempts = 4;           // in all
  Milliseconds backoff{500};  // before the second attempt, plus or minus half; then doubles
  std::string proxy;          // http:// or https://; empty: from the environment (curl(1))
  std::string token;          // a bearer token (RFC 6750), for this server only; empty: none
  // Whoever fetches with these options, or with a copy of them, adds to it.
  std::shared_ptr<Traffic> traffic = std::make_shared<Traffic>();
};

class HttpClient {
 public:
  explicit HttpClient(HttpOptions options = {});
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;

  // The body. kNotFound for 403, 404 and 410; kNetwork for everything else, with the URL, the
  // status and what was expected. A body of more than `cap` bytes is kNetwork. With `fresh`, caches
  // on the way are asked for the server's own copy.
  Result<std::string> Get(const std::string& url, size_t cap, bool fresh = false);
  // Appends to an open file what of the body it lacks, which is `size` bytes as a whole: asks for a
  // range (RFC 9110, 14.2), also after an interruption. May take as long as a pull of so many
  // bytes. Returns the bytes that were received.
  Result<uint64_t> Download(const std::string& url, int file, uint64_t size, Progress& progress);
  // The size of the body that Get() would return (a HEAD request); the same errors.
  Result<uint64_t> Size(const std::string& url);

 private:
  struct Handle;  // one connection, reused
  struct Response;
  struct Asked;
  Result<Response> Request(const Asked& asked, Milliseconds limit);

  HttpOptions options_;
  std::unique_ptr<Handle> handle_;
};

}  // namespace hostos

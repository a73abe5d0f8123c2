#include "updater/source/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <random>
#include <thread>
#include <utility>

#include "updater/base/mask.h"
#include "updater/base/unique_fd.h"

namespace hostos {

// A file that takes a body, or the rest of one.
struct PartOfFile {
  int fd = -1;
  uint64_t size = 0, had = 0;  // when it is whole; what it has
  uint64_t received = 0;       // in all attempts
  Progress* progress = nullptr;
  Result<> written = {};

  // `whole`: the server sends it from the beginning.
  bool Append(std::span<const std::byte> data, bool whole) {
    if (whole && std::exchange(had, 0) > 0 && ::ftruncate(fd, 0) < 0)
      written = FailErrno("ftruncate");
    if (data.size() > size - had)
      written = Fail(Code::kNetwork, "expected {} bytes, found more", size);
    if (written) written = PwriteFull(fd, data, had);
    had += data.size();
    received += data.size();
    progress->Bytes(std::min(had, size), size);
    return written && !progress->Cancelled();
  }
};

// Holds back the reading of responses, so that no more comes in than the limit allows: what is not
// read is not sent for long (TCP). curl's own limit begins anew with each request, so it does not
// hold over many small ones.
class Pace {
 public:
  explicit Pace(uint64_t limit) : limit_(limit) {}
  void Took(uint64_t bytes) {
    if (limit_ == 0) return;
    const auto earliest = std::chrono::steady_clock::now() - kCredit;
    due_ = std::max(due_, earliest) + std::chrono::nanoseconds(bytes * 1'000'000'000 / limit_);
    std::this_thread::sleep_until(due_);
  }

 private:
  static constexpr Milliseconds kCredit{100};  // makes up for sleep that lasts longer than asked

  uint64_t limit_;
  std::chrono::steady_clock::time_point due_;
};

namespace {

constexpr int kMaxRedirects = 5;
constexpr long kStallBytesPerSecond = 1000;
constexpr size_t kExcerptBytes = 60;

using Url = std::unique_ptr<CURLU, decltype([](CURLU* url) { curl_url_cleanup(url); })>;

// Why a request did not end with a whole good body.
struct Failure {
  Error error;
  bool transient = false;
  Seconds retry_after{0};  // as the server asked
};

std::string Part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
  std::string result = text;
  curl_free(text);
  return result;
}

Url Parsed(const std::string& text) {
  Url url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) url.reset();
  return url;
}

bool SameServer(const std::string& from, const std::string& to) {
  const Url source = Parsed(from), target = Parsed(to);
  return source && target &&
         std::ranges::all_of(
             std::array{CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT},
             [&](CURLUPart part) { return Part(source.get(), part) == Part(target.get(), part); });
}

// A server may redirect to https anywhere, or elsewhere on itself; never to plain http on another
// server, nor to another protocol.
bool MayRedirect(const std::string& from, const std::string& to) {
  const Url target = Parsed(to);
  return target && (Part(target.get(), CURLUPART_SCHEME) == "https" || SameServer(from, to));
}

// Request headers.
class Headers {
 public:
  Headers() = default;
  Headers(const Headers&) = delete;
  Headers& operator=(const Headers&) = delete;
  ~Headers() { curl_slist_free_all(list_); }
  void Add(const std::string& line) { list_ = curl_slist_append(list_, line.c_str()); }
  curl_slist* list() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

struct Body {
  CURL* curl = nullptr;
  Pace* pace = nullptr;
  size_t cap = 0;
  PartOfFile* file = nullptr;
  std::string data;
  bool too_large = false, began = false;
};

size_t Append(char* data, size_t, size_t size, void* user) noexcept {
  auto* body = static_cast<Body*>(user);
  body->pace->Took(size);
  long status = 0;
  curl_easy_getinfo(body->curl, CURLINFO_RESPONSE_CODE, &status);
  if (body->file && (status == 200 || status == 206)) {
    const bool whole = status == 200 && !std::exchange(body->began, true);
    const auto bytes = std::as_bytes(std::span(data, size));
    return body->file->Append(bytes, whole) ? size : 0;
  }
  size_t room = (status == 200 ? body->cap : kExcerptBytes) - body->data.size();
  body->data.append(data, std::min(size, room));
  if (status != 200) return size;  // a page that says why: its beginning is enough
  body->too_large = size > room;
  return body->too_large ? 0 : size;  // 0: curl ends with CURLE_WRITE_ERROR
}

// An address of this machine or of its links: those that hostos-fetch@.service may be denied.
bool IsNear(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const in_addr_t ip = ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr);
    return ip >> 24 == 127 || ip >> 16 == (169 << 8 | 254);
  }
  if (address.sa_family != AF_INET6) return false;
  const in6_addr& ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&ip) || IN6_IS_ADDR_LINKLOCAL(&ip);
}

// True if IPAddressDeny= blocks the address: a connection is then met with silence, but a datagram
// fails at once.
bool IsKeptFrom(const sockaddr& address, socklen_t size) {
  const UniqueFd probe(::socket(address.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return ::sendto(probe.get(), nullptr, 0, MSG_DONTWAIT, &address, size) < 0 && errno == EPERM;
}

// A socket for curl. If the address is blocked, stores it in `user` and returns none.
curl_socket_t OpenSocket(void* user, curlsocktype, curl_sockaddr* to) noexcept {
  if (IsNear(to->addr) && IsKeptFrom(to->addr, to->addrlen)) {
    std::array<char, NI_MAXHOST> name{};
    (void)::getnameinfo(&to->addr, to->addrlen, name.data(), name.size(), nullptr, 0,
                        NI_NUMERICHOST);
    *static_cast<std::string*>(user) = name.data();
    return CURL_SOCKET_BAD;
  }
  return ::socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

bool IsTransient(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    default:
      return false;
  }
}

bool IsTransient(long status) {
  return status == 408 || status == 429 || status >= 500;
}

// Object stores answer 403 for a missing object when the client may not list.
bool IsAbsent(long status) {
  return status == 403 || status == 404 || status == 410;
}

// The pause times one half to one and a half, so that a fleet that lost its server does not come
// back all at once.
Milliseconds Jittered(Milliseconds pause) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return Milliseconds(
      std::uniform_int_distribution(pause.count() / 2, pause.count() * 3 / 2)(random));
}

// The first line of an error page.
std::string Excerpt(std::string_view body) {
  std::string text(body.substr(0, body.find_first_of("\r\n")));
  std::ranges::replace_if(text, [](unsigned char c) { return !std::isprint(c); }, '?');
  return text;
}

}  // namespace

struct HttpClient::Response {
  std::string body;
  uint64_t size = 0;  // of the body, as the server says
};

struct HttpClient::Asked {
  const std::string& url;
  size_t cap = 0;
  bool head = false, fresh = false;
  PartOfFile* file = nullptr;  // takes the body
};

struct HttpClient::Handle {
  CURL* curl = curl_easy_init();
  std::string token;
  std::string kept_from;  // the last blocked address
  Pace pace;
  std::shared_ptr<Traffic> traffic;

  explicit Handle(const HttpOptions& options) : pace(options.rate_limit), traffic(options.traffic) {
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "HostOS/" HOSTOS_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, options.connect_timeout.count());
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, options.stall_timeout.count());
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Append);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &OpenSocket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &kept_from);
    token = options.token;
    if (!options.proxy.empty()) curl_easy_setopt(curl, CURLOPT_PROXY, options.proxy.c_str());
  }
  ~Handle() { curl_easy_cleanup(curl); }

  // One attempt, following redirects. Ends by `deadline` on the monotonic clock.
  std::expected<Response, Failure> Attempt(const Asked& asked, Milliseconds deadline);
};

std::expected<HttpClient::Response, Failure> HttpClient::Handle::Attempt(const Asked& asked,
                                                                         Milliseconds deadline) {
  const auto& [url, cap, head, fresh, file] = asked;
  auto fail = [&](bool transient, Code code, std::string what) {
    return std::unexpected(Failure{{code, url + ": " + std::move(what)}, transient});
  };
  std::string location = url;
  for (int redirects = 0;; ++redirects) {
    Body body{.curl = curl, .pace = &pace, .cap = cap, .file = file, .data = {}};
    const std::string range = file && file->had > 0 ? std::format("{}-", file->had) : "";
    std::array<char, CURL_ERROR_SIZE> reason{};
    Headers headers;
    if (fresh) headers.Add("Cache-Control: no-cache");
    if (!token.empty() && SameServer(url, location)) headers.Add("Authorization: Bearer " + token);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.list());
    curl_easy_setopt(curl, CURLOPT_RANGE, range.empty() ? nullptr : range.c_str());
    curl_easy_setopt(curl, CURLOPT_NOBODY, head ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_HTTPGET, head ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_URL, location.c_str());
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason.data());
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     std::max<long>(1, (deadline - SystemClock().Monotonic()).count()));
    kept_from.clear();
    CURLcode code = curl_easy_perform(curl);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, nullptr);

    long status = 0, header_bytes = 0, request_bytes = 0;
    curl_off_t body_bytes = 0;
    char* next = nullptr;
    curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &request_bytes);
    curl_easy_getinfo(curl, CURLINFO_SIZE_DOWNLOAD_T, &body_bytes);
    traffic->requests += request_bytes > 0;
    traffic->bytes += static_cast<uint64_t>(body_bytes);
    curl_easy_getinfo(curl, CURLINFO_HEADER_SIZE, &header_bytes);
    pace.Took(static_cast<uint64_t>(header_bytes));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &next);
    if (IsAbsent(status)) {
      return fail(false, Code::kNotFound,
                  std::format("HTTP status {} ({})", status, Excerpt(body.data)));
    }
    if (status >= 400) {
      curl_off_t retry_after = 0;
      curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
      Failure failure{{Code::kNetwork, std::format("{}: expected HTTP status 200, found {} ({})",
                                                   url, status, Excerpt(body.data))},
                      IsTransient(status),
                      Seconds(retry_after)};
      return std::unexpected(std::move(failure));
    }
    if (file && !file->written) {
      return std::unexpected(Failure{file->written.error()});
    }
    if (body.too_large) {
      return fail(false, Code::kNetwork, std::format("expected at most {} bytes, found more", cap));
    }
    if (code == CURLE_COULDNT_CONNECT && !kept_from.empty()) {
      return fail(
          false, Code::kNetwork,
          std::format("expected to be let to {0}, found a filter between: if it is the one of "
                      "hostos-fetch@.service, a drop-in with IPAddressAllow={0} opens it: "
                      "docs/operations.md",
                      kept_from));
    }
    if (code != CURLE_OK) {
      return fail(IsTransient(code), Code::kNetwork,
                  reason[0] ? reason.data() : curl_easy_strerror(code));
    }
    if (status == 200 || (file && status == 206)) {
      if (file && file->had < file->size)
        return fail(true, Code::kNetwork,
                    std::format("expected {} bytes, found {}", file->size, file->had));
      curl_off_t size = 0;
      curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
      return Response{std::move(body.data), static_cast<uint64_t>(std::max<curl_off_t>(size, 0))};
    }
    if (status < 300 || !next) {
      return fail(false, Code::kNetwork, std::format("expected HTTP status 200, found {}", status));
    }
    if (redirects == kMaxRedirects || !MayRedirect(location, next)) {
      return fail(false, Code::kNetwork,
                  std::format("refused redirect {} to {} (expected https, or the same server; at "
                              "most {})",
                              redirects + 1, next, kMaxRedirects));
    }
    location = next;
  }
}

HttpClient::HttpClient(HttpOptions options)
    : options_(std::move(options)), handle_(std::make_unique<Handle>(options_)) {}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

Result<std::string> HttpClient::Get(const std::string& url, size_t cap, bool fresh) {
  const Milliseconds limit = options_.total_timeout + options_.LimitedTime(cap);
  return TRY(Request({.url = url, .cap = cap, .fresh = fresh}, limit)).body;
}

Result<uint64_t> HttpClient::Size(const std::string& url) {
  return TRY(Request({.url = url, .head = true}, options_.total_timeout)).size;
}

Result<uint64_t> HttpClient::Download(const std::string& url, int fd, uint64_t size,
                                      Progress& progress) {
  const off_t had = ::lseek(fd, 0, SEEK_END);
  if (had < 0) return FailErrno("lseek");
  PartOfFile file{.fd = fd, .size = size, .had = static_cast<uint64_t>(had), .progress = &progress};
  if (file.had < size) TRY(Request({.url = url, .file = &file}, options_.PullTime(size)));
  return file.received;
}

Result<HttpClient::Response> HttpClient::Request(const Asked& asked, Milliseconds limit) {
  SystemClock clock;
  const Milliseconds deadline = clock.Monotonic() + limit;
  Milliseconds pause = options_.backoff;
  for (int attempt = 1;; ++attempt, pause *= 2) {
    auto response = handle_->Attempt(asked, deadline);
    if (response) return *std::move(response);
    Failure& failure = response.error();
    const Milliseconds wait = std::max<Milliseconds>(Jittered(pause), failure.retry_after);
    if (!failure.transient || attempt >= options_.attempts ||
        clock.Monotonic() + wait >= deadline) {
      if (attempt > 1) failure.error.message += std::format(", after {} attempts", attempt);
      if (failure.retry_after > Seconds(0))
        failure.error.message +=
            std::format("; the server asks to come back in {} s", failure.retry_after.count());
      return std::unexpected(MaskedError(std::move(failure.error)));
    }
    clock.Sleep(wait);
  }
}

}  // namespace hostos

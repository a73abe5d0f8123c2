#include "updater/source/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace hostos {
namespace {

constexpr int kMaxRedirects = 5;
constexpr long kStallBytesPerSecond = 1000;

using Url = std::unique_ptr<CURLU, decltype([](CURLU* url) { curl_url_cleanup(url); })>;

// How one request ended, short of a whole good body.
struct Failure {
  Error error;
  bool transient = false;
};

std::string Part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
  std::string result = text;
  curl_free(text);
  return result;
}

// A server may send us to https anywhere, or elsewhere on itself; never to plain http on another
// host, nor to another protocol.
bool MayRedirect(const std::string& from, const std::string& to) {
  Url source(curl_url()), target(curl_url());
  if (curl_url_set(source.get(), CURLUPART_URL, from.c_str(), 0) != CURLUE_OK ||
      curl_url_set(target.get(), CURLUPART_URL, to.c_str(), 0) != CURLUE_OK) {
    return false;
  }
  if (Part(target.get(), CURLUPART_SCHEME) == "https") return true;
  return std::ranges::all_of(
      std::array{CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT},
      [&](CURLUPart part) { return Part(source.get(), part) == Part(target.get(), part); });
}

struct Body {
  std::string data;
  size_t cap = 0;
  bool too_large = false;
};

size_t Append(char* data, size_t, size_t size, void* user) noexcept {
  auto* body = static_cast<Body*>(user);
  body->too_large = size > body->cap - body->data.size();
  if (body->too_large) return 0;  // curl ends with CURLE_WRITE_ERROR
  body->data.append(data, size);
  return size;
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

bool IsTransient(long status) { return status == 408 || status == 429 || status >= 500; }

// The first line of an error page, cut to what fits a message.
std::string Excerpt(std::string_view body) {
  std::string text(body.substr(0, std::min<size_t>(body.find_first_of("\r\n"), 60)));
  std::ranges::replace_if(text, [](unsigned char c) { return !std::isprint(c); }, '?');
  return text;
}

}  // namespace

struct HttpClient::Handle {
  CURL* curl = curl_easy_init();
  ~Handle() { curl_easy_cleanup(curl); }

  void Configure(const HttpOptions& options) {
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "HostOS/" HOSTOS_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, options.connect_timeout.count());
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, options.stall_timeout.count());
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Append);
  }

  // One request, redirects followed, over by `deadline` of the monotonic clock.
  std::expected<std::string, Failure> Request(const std::string& url, size_t cap,
                                              Milliseconds deadline);
};

std::expected<std::string, Failure> HttpClient::Handle::Request(const std::string& url, size_t cap,
                                                                Milliseconds deadline) {
  auto fail = [&](bool transient, Code code, std::string what) {
    return std::unexpected(Failure{{code, url + ": " + std::move(what)}, transient});
  };
  std::string location = url;
  for (int redirects = 0;; ++redirects) {
    Body body{.data = {}, .cap = cap};
    std::array<char, CURL_ERROR_SIZE> reason{};
    curl_easy_setopt(curl, CURLOPT_URL, location.c_str());
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason.data());
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     std::max<long>(1, (deadline - SystemClock().Monotonic()).count()));
    CURLcode code = curl_easy_perform(curl);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);

    long status = 0;
    char* next = nullptr;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &next);
    if (status == 404 || status == 410) {
      return fail(false, Code::kNotFound, std::format("HTTP status {}", status));
    }
    if (status >= 400) {
      return fail(IsTransient(status), Code::kNetwork,
                  std::format("expected HTTP status 200, found {} ({})", status,
                              Excerpt(body.data)));
    }
    if (body.too_large) {
      return fail(false, Code::kNetwork, std::format("expected at most {} bytes, found more", cap));
    }
    if (code != CURLE_OK) {
      return fail(IsTransient(code), Code::kNetwork,
                  reason[0] ? reason.data() : curl_easy_strerror(code));
    }
    if (status == 200) return std::move(body.data);
    if (status < 300 || !next) {
      return fail(false, Code::kNetwork,
                  std::format("expected HTTP status 200, found {}", status));
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
    : options_(options), handle_(std::make_unique<Handle>()) {
  handle_->Configure(options_);
}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

Result<std::string> HttpClient::Get(const std::string& url, size_t cap) {
  SystemClock clock;
  Milliseconds deadline = clock.Monotonic() + options_.total_timeout;
  Milliseconds pause = options_.backoff;
  for (int attempt = 1;; ++attempt, pause *= 2) {
    auto body = handle_->Request(url, cap, deadline);
    if (body) return *std::move(body);
    if (!body.error().transient || attempt >= options_.attempts ||
        clock.Monotonic() + pause >= deadline) {
      if (attempt > 1) body.error().error.message += std::format(", after {} attempts", attempt);
      return std::unexpected(std::move(body.error().error));
    }
    clock.Sleep(pause);
  }
}

}  // namespace hostos

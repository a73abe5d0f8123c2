#include "updater/source/http.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/source/http_server.h"
#include "tests/source/release_fixture.h"

namespace hostos {
namespace {

HttpOptions Impatient() {
  HttpOptions options;
  options.connect_timeout = Milliseconds(2000);
  options.total_timeout = Milliseconds(5000);
  options.backoff = Milliseconds(1);
  options.attempts = 3;
  return options;
}

Error Failure(const std::string& url, size_t cap = 1000, HttpOptions options = Impatient()) {
  auto body = HttpClient(options).Get(url, cap);
  REQUIRE_FALSE(body);
  return body.error();
}

TEST_CASE("a file comes whole, over one connection, with our user agent") {
  TempDir root;
  WriteText(root / "ref", "content\n");
  HttpServer server(root.path(), "location /agent { return 200 '$http_user_agent $connection'; }");
  HttpClient http(Impatient());
  CHECK(*http.Get(server.url() + "/ref", 8) == "content\n");
  std::string first = *http.Get(server.url() + "/agent", 100);
  CHECK(first.starts_with("HostOS/"));
  CHECK(*http.Get(server.url() + "/agent", 100) == first);
}

TEST_CASE("a body above the cap is refused before it is read") {
  TempDir root;
  WriteText(root / "big", std::string(1 << 20, 'x'));
  HttpServer server(root.path());
  Error error = Failure(server.url() + "/big");
  CHECK(error.code == Code::kNetwork);
  CHECK(error.message == server.url() + "/big: expected at most 1000 bytes, found more");
  CHECK(server.Requests().size() == 1);  // not a transient failure
}

TEST_CASE("an absent file is not found, other statuses are network errors") {
  TempDir root;
  HttpServer server(root.path(),
                    "location /500 { return 500 'out of order'; }\n"
                    "location /403 { return 403 'not yours'; }\n"
                    "location /401 { return 401; }\n"
                    "location /407 { return 407; }\n"
                    "location /204 { return 204; }\n");
  CHECK(Failure(server.url() + "/none").code == Code::kNotFound);
  // An object store's answer for a missing object when the client may not list.
  const Error forbidden = Failure(server.url() + "/403");
  CHECK(forbidden.code == Code::kNotFound);
  CHECK(forbidden.message == server.url() + "/403: HTTP status 403 (not yours)");
  for (const char* path : {"/401", "/407"})
    CHECK(Failure(server.url() + path).code == Code::kNetwork);
  Error broken = Failure(server.url() + "/500");
  CHECK(broken.code == Code::kNetwork);
  CHECK(broken.message == server.url() +
                              "/500: expected HTTP status 200, found 500 (out of order), after 3 "
                              "attempts");
  CHECK(Failure(server.url() + "/204").message.contains("found 204"));
  size_t retried = 0;
  for (const HttpRequest& request : server.Requests()) retried += request.path == "/500";
  CHECK(retried == 3);
}

TEST_CASE("a redirect leads to the same server or to https, never elsewhere") {
  TempDir root;
  WriteText(root / "file", "here");
  HttpServer other(root.path());
  HttpServer server(root.path(),
                    "location /same { return 302 /file; }\n"
                    "location /other { return 302 " +
                        other.url() +
                        "/file; }\n"
                        "location /local { return 302 file:///etc/hostname; }\n"
                        "location /loop { return 302 /loop; }\n");
  // The cap is for the file, not for the page that redirects to it.
  CHECK(HttpClient(Impatient()).Get(server.url() + "/same", 4) == "here");
  CHECK(Failure(server.url() + "/other").message.contains("refused redirect 1 to " + other.url()));
  CHECK(Failure(server.url() + "/local").code == Code::kNetwork);
  CHECK(Failure(server.url() + "/loop").message.contains("refused redirect 6"));
  CHECK(other.Requests().empty());
}

TEST_CASE("a token goes with every request to its server, and caches can be passed by") {
  TempDir root;
  const char* echo = "location /echo { return 200 '$http_authorization,$http_cache_control'; }\n";
  HttpServer other(root.path(), echo);
  HttpServer server(root.path(), std::string(echo) + "location /same { return 302 /echo; }");
  HttpOptions options = Impatient();
  options.token = "abc.DEF";
  HttpClient http(options);
  CHECK(http.Get(server.url() + "/echo", 100) == "Bearer abc.DEF,");
  CHECK(http.Get(server.url() + "/same", 100) == "Bearer abc.DEF,");
  CHECK(http.Get(server.url() + "/echo", 100, /*fresh=*/true) == "Bearer abc.DEF,no-cache");
  CHECK(HttpClient(Impatient()).Get(other.url() + "/echo", 100) == ",");
}

TEST_CASE("a limit holds over a large file and over many small ones, and ends neither") {
  TempDir root;
  WriteText(root / "large", std::string(500'000, 'x'));
  WriteText(root / "small", std::string(10'000, 'x'));
  HttpServer server(root.path());
  HttpOptions options = Impatient();
  options.total_timeout = Milliseconds(1500);
  options.rate_limit = 200'000;
  HttpClient http(options);
  SystemClock clock;
  const Milliseconds begin = clock.Monotonic();
  CHECK(http.Get(server.url() + "/large", 1'000'000)->size() == 500'000);
  const Milliseconds between = clock.Monotonic();
  CHECK(between - begin > Milliseconds(2000));
  for (int i = 0; i < 20; i++) CHECK(http.Get(server.url() + "/small", 10'000)->size() == 10'000);
  CHECK(clock.Monotonic() - between > Milliseconds(700));
}

TEST_CASE("a server that is gone, and one that never ends, are network errors in time") {
  std::string gone;
  TempDir root;
  WriteText(root / "slow", std::string(900, 'x'));
  {
    HttpServer server(root.path(), "limit_rate 10;");
    gone = server.url();
    HttpOptions options = Impatient();
    options.total_timeout = Milliseconds(300);
    Error error = Failure(server.url() + "/slow", 1000, options);
    CHECK(error.code == Code::kNetwork);
    CHECK(error.message.contains("timed out"));
  }
  Error error = Failure(gone + "/slow");
  CHECK(error.code == Code::kNetwork);
  CHECK(error.message.contains("after 3 attempts"));
  CHECK(Failure("file:///etc/hostname").code == Code::kNetwork);
  CHECK(Failure("no url").code == Code::kNetwork);
}

}  // namespace
}  // namespace hostos

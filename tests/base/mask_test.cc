#include "updater/base/mask.h"

#include <catch2/catch_test_macros.hpp>

using namespace hostos;

TEST_CASE("what an address has of user, password and query is masked, wherever it stands") {
  for (const auto& [text, masked] : {
           std::pair("", ""),
           {"no address: me@example.org", "no address: me@example.org"},
           {"https://example.org/a@b", "https://example.org/a@b"},
           {"https://me@example.org", "https://***@example.org"},
           {"http://me:pass@word@example.org:80/a: gone", "http://***@example.org:80/a: gone"},
           {"at http://:t@a/b?sig=c#d and https://u:p@c",
            "at http://***@a/b?*** and https://***@c"},
           {"found \"htp://u:p@a\"", "found \"htp://***@a\""},
           {"http://u:p@http://v:w@a", "http://***@http://***@a"},
           {"http://a/?to=http://u:p@b c", "http://a/?*** c"},
           {"http://u:p@", "http://***@"},
           {"://", "://"},
       })
    CHECK(Masked(text) == masked);
}

#include "updater/release/debian_version.h"

#include <catch2/catch_test_macros.hpp>
#include <sstream>

#include "tests/shell.h"

using namespace hostos;

namespace {

// Those of dpkg's own tests (lib/dpkg/t/t-version.c, scripts/t/Dpkg_Version.t), and what Debian
// has.
constexpr const char* kVersions[] = {"0",
                                     "0:0",
                                     "0-0",
                                     "00:00-00",
                                     "1:2-3",
                                     "01:2-3",
                                     "0:a-0",
                                     "0:0-a",
                                     "1:0-0",
                                     "1.0-1",
                                     "1.0-1~",
                                     "1.0-1.0",
                                     "1.0~rc1-1",
                                     "1.0~rc1-2",
                                     "1.0~",
                                     "1.0~~",
                                     "1.0",
                                     "1.0a",
                                     "1.0+b",
                                     "1.0.1",
                                     "1.0-1+b1",
                                     "1.00-1",
                                     "1.010-1",
                                     "1.9-1",
                                     "6.12.117-1",
                                     "6.12.118-1",
                                     "6.12.118+1",
                                     "2.41-12",
                                     "2.41-12+deb13u5",
                                     "2.41-12+deb13u10",
                                     "3.5.9-1~deb13u1",
                                     "3.5.9-1",
                                     "3.5.9-1~bpo12+1",
                                     "1.7.24~ds1-6",
                                     "1.7.24",
                                     "20230311+deb12u1",
                                     "1:9.2p1-2",
                                     "1:10.0p1-7",
                                     "2.0-1-1",
                                     "a",
                                     "~a",
                                     "+",
                                     "18446744073709551616",
                                     "18446744073709551617"};

int Sign(int number) {
  return number < 0 ? -1 : number > 0 ? 1 : 0;
}

}  // namespace

TEST_CASE("versions of packages are in the order that dpkg has them in") {
  std::string script;
  for (const char* a : kVersions)
    for (const char* b : kVersions)
      if (a < b) script += std::format("c '{}' '{}';", a, b);
  const std::string answers =
      Run("c() { dpkg --compare-versions \"$1\" lt \"$2\" && echo -1 && return; dpkg "
          "--compare-versions \"$1\" gt \"$2\" && echo 1 || echo 0; }; exec 2>/dev/null;" +
          script);
  std::istringstream lines(answers);
  for (const char* a : kVersions)
    for (const char* b : kVersions) {
      if (a >= b) continue;
      int expected = 2;
      REQUIRE(lines >> expected);
      CAPTURE(a, b);
      CHECK(Sign(CompareDebianVersions(a, b)) == expected);
      CHECK(Sign(CompareDebianVersions(b, a)) == -expected);
    }
}

TEST_CASE("the order of versions is one for any text") {
  for (const std::string_view a :
       {"", ":", "-", "~", "~~", "1:", ":1", "::", "--", "1-", "-1", "\xff"})
    for (const std::string_view b : {"", ":", "-", "~", "1", "\x80", "a:b-c"})
      CHECK(Sign(CompareDebianVersions(a, b)) == -Sign(CompareDebianVersions(b, a)));
}

#include "updater/base/clock.h"

#include <catch2/catch_test_macros.hpp>

using namespace hostos;

TEST_CASE("times are written in UTC") {
  CHECK(FormatTime(0) == "1970-01-01 00:00 UTC");
  CHECK(FormatTimeIso(1'763'686'923) == "2025-11-21T01:02:03Z");
}

TEST_CASE("a time is read as it is written, and one after the year 9999 is written as its end") {
  CHECK(ParseTimeIso("2025-11-21T01:02:03Z") == 1'763'686'923u);
  CHECK(ParseTimeIso("0001-01-01T00:00:00Z") == 0u);
  CHECK(ParseTimeIso("9999-12-31T23:59:59Z") == kLastTime);
  for (const char* text : {"", "2025-11-21", "2025-11-21T01:02:03", "2025-11-21T01:02:03Z ",
                           "2025-02-30T01:02:03Z", "10000-01-01T00:00:00Z"})
    CHECK_FALSE(ParseTimeIso(text));
  CHECK(FormatTime(kLastTime + 1) == "9999-12-31 23:59 UTC");
  CHECK(FormatTimeIso(UINT64_MAX) == "9999-12-31T23:59:59Z");
}

TEST_CASE("the monotonic clock advances over a sleep") {
  SystemClock clock;
  Milliseconds before = clock.Monotonic();
  clock.Sleep(Milliseconds(5));
  CHECK(clock.Monotonic() - before >= Milliseconds(5));
}

#include "updater/base/clock.h"

#include <catch2/catch_test_macros.hpp>

using namespace hostos;

TEST_CASE("times are written in UTC") {
  CHECK(FormatTime(0) == "1970-01-01 00:00 UTC");
  CHECK(FormatTimeIso(1'763'686'923) == "2025-11-21T01:02:03Z");
}

TEST_CASE("the monotonic clock advances over a sleep") {
  SystemClock clock;
  Milliseconds before = clock.Monotonic();
  clock.Sleep(Milliseconds(5));
  CHECK(clock.Monotonic() - before >= Milliseconds(5));
}

#include "updater/engine/support.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/temp_dir.h"
#include "updater/base/clock.h"

namespace hostos {
namespace {

TEST_CASE("a release says in its os-release that it is a preview, and when its support ends") {
  const TempDir directory;
  const std::string file = directory / "os-release";
  const auto read = [&](std::string_view text) {
    WriteText(file, text);
    return ReadSupport(file);
  };
  const Result<Support> none = read("ID=debian\n");
  REQUIRE(none);
  CHECK_FALSE(none->preview);
  CHECK_FALSE(none->Over(kLastTime));

  const Result<Support> both = read("RELEASE_TYPE=development\nSUPPORT_END=\"2028-08-09\"\n");
  REQUIRE(both);
  CHECK(both->preview);
  CHECK(FormatTimeIso(both->ends) == "2028-08-09T00:00:00Z");
  CHECK_FALSE(both->Over(both->ends - 1));
  CHECK(both->Over(both->ends));
  CHECK_FALSE(read("RELEASE_TYPE=stable\n")->preview);

  for (const char* date : {"", "2028", "2028-02-30", "2028-08-09T00", "soon"}) {
    const Result<Support> bad = read(std::format("SUPPORT_END={}\n", date));
    REQUIRE_FALSE(bad);
    CHECK(bad.error().message.ends_with(std::format(
        "os-release: SUPPORT_END: expected a date such as 2028-08-09, found '{}'", date)));
  }
  CHECK_FALSE(ReadSupport(directory / "none"));
}

}  // namespace
}  // namespace hostos

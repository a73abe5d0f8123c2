#include "updater/release/release_target.h"

#include <catch2/catch_test_macros.hpp>

#include "updater/tuf/json.h"

namespace hostos {
namespace {

TEST_CASE("names in a release's target are names, or nothing of it is read") {
  const ReleaseTarget good = {.version = "1.0.0",
                              .channel = "stable",
                              .architecture = "x86-64",
                              .commit = {},
                              .root_hash = {},
                              .image_size = 1,
                              .uki_digest = {},
                              .uki_size = 1,
                              .index = 1};
  const std::string text = WriteReleaseTarget(good);
  REQUIRE(ParseReleaseTarget(text));
  for (const char* field : {"product", "version", "channel", "architecture"})
    for (const char* name : {"", ".", "..", "../1.0", "a/b", "/etc/passwd", "-x", "1_0", "1\x1b[2J",
                             "1\n2", "123456789012345678901234567890"}) {
      CAPTURE(field, name);
      tuf::Json json = tuf::Json::parse(text);
      json[field] = name;
      const Result<ReleaseTarget> refused = ParseReleaseTarget(json.dump());
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code == Code::kNotTrusted);
      CHECK(
          refused.error().message.starts_with(std::format("release.{}: expected 1 to 29", field)));
      CHECK_FALSE(refused.error().message.contains('\x1b'));
    }
}

}  // namespace
}  // namespace hostos

#include "updater/release/release_target.h"

#include <catch2/catch_test_macros.hpp>

#include "updater/base/sbom_path.h"
#include "updater/base/unique_fd.h"
#include "updater/tuf/json.h"

namespace hostos {
namespace {

ReleaseTarget GoodRelease() {
  return {.version = "1.0.0",
          .channel = "stable",
          .architecture = "x86-64",
          .commit = {},
          .root_hash = {},
          .image_size = 1,
          .uki_digest = {},
          .uki_size = 1,
          .index = 1};
}

TEST_CASE("names in a release's target are names, or nothing of it is read") {
  const std::string text = WriteReleaseTarget(GoodRelease());
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

TEST_CASE("a release's target names its SBOMs, a bounded number of them, by names and digests") {
  ReleaseTarget good = GoodRelease();
  const Digest digest = Sha256::Of(AsBytes("what is in it"));
  good.sboms = {{"cdx", digest, 7}, {"spdx", {}, 9}};
  const auto read = ParseReleaseTarget(WriteReleaseTarget(good));
  REQUIRE(read);
  REQUIRE(read->sboms.size() == 2);
  CHECK(read->sboms[0].format == "cdx");
  CHECK(read->sboms[0].digest == digest);
  CHECK(read->sboms[0].size == 7);
  CHECK(SbomPath(*read, "cdx") == "sbom/" + Digest().Hex() + "/hostos-1.0.0.cdx.json");

  // A field that a version does not know is nothing to it, as this one to those of before.
  tuf::Json later = tuf::Json::parse(WriteReleaseTarget(good));
  later["field of a later version"] = 1;
  CHECK(ParseReleaseTarget(later.dump()));

  const auto refused = [&](const auto& change) {
    tuf::Json json = tuf::Json::parse(WriteReleaseTarget(good));
    change(json["sboms"]);
    const auto parsed = ParseReleaseTarget(json.dump());
    return !parsed && parsed.error().code == Code::kNotTrusted;
  };
  CHECK(refused([](tuf::Json& sboms) { sboms[0]["format"] = "../../x"; }));
  CHECK(refused([](tuf::Json& sboms) { sboms[0]["sha256"] = "00"; }));
  CHECK(refused([](tuf::Json& sboms) { sboms[0]["size"] = 0; }));
  CHECK(refused([](tuf::Json& sboms) { sboms[0]["size"] = kMaxSbomBytes + 1; }));
  CHECK(refused([](tuf::Json& sboms) { sboms = 1; }));
  CHECK(refused([](tuf::Json& sboms) {
    while (sboms.size() <= kMaxSboms) sboms.push_back(tuf::Json(sboms[0]));
  }));
  CHECK_FALSE(refused([](tuf::Json&) {}));
}

}  // namespace
}  // namespace hostos

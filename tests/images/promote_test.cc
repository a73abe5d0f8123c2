#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include "images/program.h"
#include "tests/images/small_release.h"
#include "updater/base/clock.h"
#include "updater/source/ostree_source.h"

namespace hostos {
namespace {

// The newest release that a node of a channel finds.
Result<Target> FoundIn(const SmallRelease& small, const std::string& channel) {
  OstreeSource node({.url = small / "repo",
                     .channel = channel,
                     .architecture = "x86-64",
                     .root = small / "repo/metadata/1.root.json",
                     .metadata = small / "node",
                     .staging = small / "staging",
                     .parent = "",
                     .key_directories = {small / "keys"},
                     .signatures = {},
                     .seal_formats = {1},
                     .http = {}});
  return node.Resolve(std::nullopt, SystemClock().Now());
}

TEST_CASE("hostimage promote publishes a release's content in another channel, signed for it") {
  const SmallRelease small;
  const std::string repo = small / "repo", key = small / "ci.pem", trusted = small / "keys/ci.pub";
  const Release release = small.Commit().value();
  const auto hostimage = [&](std::vector<std::string> words) {
    words.insert(words.begin(), HOSTIMAGE);
    words.insert(words.end(), {"--repo", repo, "--key", key, "--json"});
    return RunProgram(words);
  };
  REQUIRE(hostimage({"root", "--root-key", trusted, "--targets-key", trusted, "--snapshot-key",
                     trusted, "--timestamp-key", trusted}));
  REQUIRE(hostimage({"publish", "1.0.0"}));
  CHECK(FoundIn(small, "edge").error().code == Code::kNotFound);

  const std::vector<std::string> promote = {"promote", "1.0.0",        "--channel",
                                            "edge",    "--commit-key", key};
  const Result<std::string> said = hostimage(promote);
  REQUIRE(said);
  const auto json = nlohmann::json::parse(*said);
  CHECK(json["published"] == true);
  CHECK(json["channel"] == "edge");
  CHECK(json["index"] == 2);

  const Result<Target> found = FoundIn(small, "edge");
  REQUIRE(found);
  CHECK(json["commit"] == found->release.commit.Hex());
  CHECK(found->release.commit != release.commit);
  CHECK(found->release.channel == "edge");
  CHECK(found->release.version == "1.0.0");
  CHECK(found->release.root_hash == release.root_hash);
  CHECK(FoundIn(small, "stable")->release.commit == release.commit);
  CHECK(RunProgram({HOSTIMAGE, "verify", ChannelRef("x86-64", "edge"), "--repo", repo, "--keys",
                    small / "keys"}));

  const auto refused = [&](std::vector<std::string> words) {
    return hostimage(std::move(words)).error().message;
  };
  CHECK(refused(promote).contains("expected a version after the newest, 1.0.0, found 1.0.0"));
  CHECK(refused({"promote", "2.0.0", "--channel", "edge", "--commit-key", key})
            .contains("no ref hostos/x86-64/releases/2.0.0"));
  CHECK(refused({"promote", "1.0.0", "--channel", "../edge", "--commit-key", key})
            .contains("ended with exit code 2"));
  CHECK(FoundIn(small, "edge")->release.commit == found->release.commit);
}

}  // namespace
}  // namespace hostos

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include "images/program.h"
#include "images/publish/secret_key.h"
#include "tests/announce.h"
#include "tests/images/small_release.h"
#include "tests/source/local_source.h"
#include "updater/base/clock.h"

namespace hostos {
namespace {

// The newest release that a node of a channel finds.
Result<Target> FoundIn(const SmallRelease& small, const std::string& channel) {
  LocalSource node({.url = small / "repo",
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

TEST_CASE("a release whose time cannot be is neither committed nor published") {
  const SmallRelease small;
  const std::string repo = small / "repo", key = small / "ci.pem", trusted = small / "keys/ci.pub";
  const auto hostimage = [&](std::vector<std::string> words) {
    words.insert(words.begin(), HOSTIMAGE);
    words.insert(words.end(), {"--repo", repo, "--key", key});
    return RunProgram(words);
  };
  for (const char* time : {"4102444800", "18446744073709551615", "0"}) {
    const auto refused =
        hostimage({"commit", "--tree", small / "root", "--initrd", small / "initrd", "--version",
                   "1.0.0", "--channel", "stable", "--timestamp", time});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.contains("ended with exit code 2"));
    CHECK(refused.error().message.contains("--timestamp: time of the release: expected one from "));
  }
  REQUIRE(hostimage({"root", "--root-key", trusted, "--targets-key", trusted, "--snapshot-key",
                     trusted, "--timestamp-key", trusted}));
  CommitOptions options = small.Options();
  options.timestamp = 4'102'444'800;  // by a tool that did not look
  REQUIRE(small.Commit(options));
  const auto refused = hostimage({"publish", "1.0.0"});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.contains("found 2100-01-01T00:00:00Z: nodes would refuse it"));
}

TEST_CASE("a release that was made before the channel's newest is not published") {
  SmallRelease small;
  const std::vector<SecretKey> keys = SecretKey::Load(small / "ci.pem").value();
  const auto publish = [&](const std::string& version, uint64_t timestamp) {
    small.SetVersion(version);
    CommitOptions options = small.Options();
    options.timestamp = timestamp;
    REQUIRE(small.Commit(options));
    return Announce(small / "repo", version, keys);
  };
  REQUIRE(publish("1.0.0", kReleaseTime));
  const Result<> refused = publish("1.1.0", kReleaseTime - 1);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kRefused);
  CHECK(refused.error().message.contains("expected none before 1.0.0's"));
  CHECK(publish("1.2.0", kReleaseTime));
}

TEST_CASE("a verb that comes too early says which one comes first") {
  const SmallRelease small;
  const std::string repo = small / "repo", key = small / "ci.pem", trusted = small / "keys/ci.pub";
  const auto said = [&](std::vector<std::string> words) {
    words.insert(words.begin(), HOSTIMAGE);
    words.insert(words.end(), {"--repo", repo});
    const Result<std::string> ran = RunProgram(words);
    return ran ? "0: " + *ran : ran.error().message;
  };
  REQUIRE(said({"root", "--root-key", trusted, "--targets-key", trusted, "--snapshot-key", trusted,
                "--timestamp-key", trusted, "--key", key})
              .starts_with("0: "));
  const std::string commit =
      "; commit the release first: hostimage commit --repo " + repo + " --version 1.0.0 ";
  const std::string none = said({"publish", "1.0.0", "--key", key});
  CHECK(none.contains(repo + ": expected an OSTree repository, found none" + commit));
  CHECK_FALSE(none.contains("opendir"));
  REQUIRE(Repo::CreateArchive(repo));
  CHECK(said({"publish", "1.0.0", "--key", key})
            .contains("no ref hostos/x86-64/releases/1.0.0" + commit));
  CHECK(said({"promote", "1.0.0", "--channel", "edge", "--commit-key", key}).contains(commit));
  REQUIRE(small.Commit());
  CHECK(said({"bundle", "1.0.0", "--channel", "stable", "--output", small / "bundle"})
            .contains("; publish it first: hostimage publish 1.0.0 --repo " + repo));
  CHECK(said({"verify", "hostos/x86-64/edge", "--keys", small / "keys"})
            .contains("; what there is: ostree refs --repo=" + repo));
}

}  // namespace
}  // namespace hostos

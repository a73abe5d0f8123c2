#include "images/tuf_repository.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>

#include "tests/temp_dir.h"
#include "tests/text_file.h"
#include "updater/base/atomic_file.h"
#include "updater/tuf/client.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr uint64_t kStart = 1'800'000'000, kDay = 86'400;

class Directory : public tuf::Fetcher {
 public:
  explicit Directory(std::string path) : path_(std::move(path)) {}
  Result<std::string> Fetch(const std::string& path, size_t cap) override {
    return ReadFile(path_ + "/" + path, cap);
  }

 private:
  std::string path_;
};

std::vector<SecretKey> NewKey() {
  return {SecretKey::Generate(Algorithm::kEd25519).value()};
}

RoleChange By(std::initializer_list<std::vector<SecretKey>> keys, uint32_t threshold = 1) {
  RoleChange change{.keys = {}, .threshold = threshold, .days = {}};
  for (const std::vector<SecretKey>& key : keys) change.keys.push_back(key.at(0).Public().value());
  return change;
}

ReleaseTarget ReleaseNamed(const std::string& version, const std::string& channel = "stable") {
  return {.version = version,
          .channel = channel,
          .architecture = "x86-64",
          .commit = Sha256::Of(AsBytes("commit " + version)),
          .root_hash = Sha256::Of(AsBytes("root " + version)),
          .image_size = 1,
          .uki_digest = Sha256::Of(AsBytes("uki " + version)),
          .uki_size = 1};
}

// A release team with a key for each role, and a node that began with its first root.
struct Team {
  TempDir directory;
  std::string path = directory / "repo";
  std::vector<SecretKey> root = NewKey(), targets = NewKey(), online = NewKey();
  TufRepository repository = TufRepository::Open(path, kStart).value();

  Team() {
    REQUIRE(repository.StageRoot({{"root", By({root})},
                                  {"targets", By({targets})},
                                  {"snapshot", By({online})},
                                  {"timestamp", By({online})}}));
    REQUIRE_FALSE(Sign({root, targets, online}));
    REQUIRE(MakeDirectories(directory / "node"));
    REQUIRE(tuf::Client::Init(directory / "node", ReadText(path + "/metadata/1.root.json")));
  }

  // What it had to stop at.
  std::optional<Unsigned> Sign(std::initializer_list<std::vector<SecretKey>> keys) {
    std::vector<SecretKey> all;
    for (const std::vector<SecretKey>& key : keys) all.insert(all.end(), key.begin(), key.end());
    return repository.Sign(all).value();
  }

  Result<ReleaseTarget> Seen(const std::string& target = "hostos/x86-64/stable.json",
                             uint64_t now = kStart) {
    Directory metadata(path + "/metadata"), targets_files(path + "/targets");
    tuf::Client client = TRY(tuf::Client::Refresh(directory / "node", metadata, now));
    const tuf::TargetFile file = TRY(client.Find(target));
    const std::string bytes = TRY(client.Fetch(file, targets_files));
    return ParseReleaseTarget(bytes);
  }
};

TEST_CASE("a release is signed by one person after another, and found when the threshold holds") {
  Team team;
  const std::vector<SecretKey> second = NewKey(), stranger = NewKey();
  REQUIRE(team.repository.StageRoot({{"targets", By({team.targets, second}, 2)}}));
  // The keys of targets changed, so what they signed before is to be signed again.
  const std::optional<Unsigned> left = team.Sign({team.root, team.online});
  REQUIRE(left);
  CHECK(left->role == "targets");
  CHECK(left->signatures == 0);
  CHECK(left->threshold == 2);
  REQUIRE_FALSE(team.Sign({team.targets, second, team.online}));

  CHECK(team.repository.StageRelease(ReleaseNamed("1.0.0"))->index == 1);
  CHECK(team.Sign({team.targets, stranger})->signatures == 1);
  CHECK(team.Seen().error().code == Code::kNotFound);
  CHECK(team.Sign({team.targets})->signatures == 1);  // the same person again
  CHECK(team.Sign({second})->role == "snapshot");
  CHECK(team.Seen().error().code == Code::kNotFound);
  REQUIRE_FALSE(team.Sign({team.online}));
  CHECK(team.Seen()->version == "1.0.0");
  CHECK(std::filesystem::is_empty(team.path + "/staged"));
}

TEST_CASE("new keys take over when the old ones and they themselves signed the next root") {
  Team team;
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.0.0")));
  REQUIRE_FALSE(team.Sign({team.targets, team.online}));
  const std::vector<SecretKey> root = NewKey(), online = NewKey();
  REQUIRE(team.repository.StageRoot(
      {{"root", By({root})}, {"snapshot", By({online})}, {"timestamp", By({online})}}));
  std::optional<Unsigned> left = team.Sign({root, online});
  REQUIRE(left);
  CHECK(left->whose == "the keys of the root before");
  CHECK(team.Seen()->version == "1.0.0");
  left = team.Sign({team.root, team.online});
  REQUIRE(left);
  CHECK(left->role == "snapshot");  // the old online key speaks for nothing any more
  REQUIRE_FALSE(team.Sign({online}));
  CHECK(team.Seen()->version == "1.0.0");
  CHECK_THAT(ReadText(team.directory / "node/root.json"), ContainsSubstring("\"version\": 2"));

  REQUIRE(team.repository.StageRoot({{"root", By({team.root})}}));
  CHECK(team.Sign({team.root})->whose == "the keys of the root before");
  CHECK(team.repository.StageRoot({{"targets", By({team.targets}, 2)}}).error().code ==
        Code::kUsage);
}

TEST_CASE("a channel's newest release only gets newer, until it is withdrawn") {
  Team team;
  for (const char* version : {"1.0.0", "1.1.0"})
    REQUIRE(team.repository.StageRelease(ReleaseNamed(version)));
  for (const char* version : {"1.0.1", "1.1.0"}) {
    const auto refused = team.repository.StageRelease(ReleaseNamed(version));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::kRefused);
    CHECK_THAT(refused.error().message, ContainsSubstring("expected a version after the newest, "
                                                          "1.1.0, found"));
  }
  CHECK(team.repository.StageRelease(ReleaseNamed("2.0.0", "edge"))->index == 3);
  REQUIRE_FALSE(team.Sign({team.targets, team.online}));
  CHECK(team.Seen()->version == "1.1.0");
  CHECK(team.Seen("hostos/x86-64/edge.json")->version == "2.0.0");

  CHECK(team.repository.StageWithdrawal("hostos", "x86-64", "stable", "9").error().code ==
        Code::kNotFound);
  REQUIRE(team.repository.StageWithdrawal("hostos", "x86-64", "stable", "1.1.0"));
  REQUIRE_FALSE(team.Sign({team.targets, team.online}));
  CHECK(team.Seen()->version == "1.0.0");
  CHECK(team.Seen("hostos/x86-64/stable/1.1.0.json").error().code == Code::kNotFound);
  REQUIRE(team.repository.StageWithdrawal("hostos", "x86-64", "stable", "1.0.0"));
  REQUIRE_FALSE(team.Sign({team.targets, team.online}));
  CHECK(team.Seen().error().code == Code::kNotFound);
  CHECK(team.repository.StageRelease(ReleaseNamed("1.2.0"))->index == 4);
}

TEST_CASE("the least index that is allowed grows with a release and never shrinks") {
  Team team;
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.0.0")));
  ReleaseTarget release = ReleaseNamed("1.1.0");
  release.minimum_index = 3;
  CHECK(team.repository.StageRelease(release).error().code == Code::kUsage);
  release.minimum_index = 2;
  CHECK(team.repository.StageRelease(release)->minimum_index == 2);
  CHECK(team.repository.StageRelease(ReleaseNamed("1.2.0"))->minimum_index == 2);
  REQUIRE_FALSE(team.Sign({team.targets, team.online}));
  CHECK(team.Seen("hostos/x86-64/stable/1.0.0.json")->index == 1);
  CHECK(team.Seen()->minimum_index == 2);

  // Not when what raised it is gone either.
  for (const char* version : {"1.2.0", "1.1.0"})
    REQUIRE(team.repository.StageWithdrawal("hostos", "x86-64", "stable", version));
  REQUIRE_FALSE(team.Sign({team.targets, team.online}));
  CHECK(team.Seen().error().code == Code::kNotFound);
  CHECK(team.repository.StageRelease(ReleaseNamed("1.3.0"))->minimum_index == 2);
}

TEST_CASE("a renewed timestamp counts for longer, with the online key alone") {
  Team team;
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.0.0")));
  REQUIRE_FALSE(team.Sign({team.targets, team.online}));
  const std::string target = "hostos/x86-64/stable.json";
  CHECK(team.Seen(target, kStart + 8 * kDay).error().code == Code::kNotTrusted);
  {
    const TufRepository closed = std::move(team.repository);
  }
  team.repository = TufRepository::Open(team.path, kStart + 5 * kDay).value();
  REQUIRE(team.repository.StageRenewal("timestamp"));
  REQUIRE_FALSE(team.Sign({team.online}));
  CHECK(team.Seen(target, kStart + 8 * kDay)->version == "1.0.0");
  CHECK(team.repository.StageRenewal("mirrors").error().code == Code::kUsage);
}

// Whatever is on the disk when the publisher's machine stops, nodes see the old or the new release,
// and the next run goes on.
TEST_CASE("publishing that stops between any two of its files goes on in the next run") {
  Team team;
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.0.0")));
  REQUIRE_FALSE(team.Sign({team.targets, team.online}));
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.1.0")));
  namespace fs = std::filesystem;
  const std::string staged = ReadText(team.path + "/staged/targets.json");
  const std::string before = ReadText(team.path + "/metadata/timestamp.json");
  REQUIRE_FALSE(team.Sign({team.targets, team.online}));
  // The files of the third versions in the order they were written; without the last `missing`.
  const std::vector<std::string> written = {"3.targets.json", "3.snapshot.json", "timestamp.json"};
  for (size_t missing = 1; missing <= written.size(); missing++) {
    const TempDir copy;
    fs::copy(team.path, copy / "repo", fs::copy_options::recursive);
    for (size_t i = written.size() - missing; i < written.size(); i++)
      fs::remove(copy / ("repo/metadata/" + written[i]));
    WriteText(copy / "repo/metadata/timestamp.json", before);
    fs::remove_all(team.directory / "node");
    TufRepository again = TufRepository::Open(copy / "repo", kStart).value();
    if (missing == written.size()) WriteText(copy / "repo/staged/targets.json", staged);
    std::vector<SecretKey> keys = team.targets;
    keys.push_back(team.online.front());
    CHECK_FALSE(again.Sign(keys).value());
    Directory metadata(copy / "repo/metadata");
    REQUIRE(MakeDirectories(team.directory / "node"));
    REQUIRE(
        tuf::Client::Init(team.directory / "node", ReadText(team.path + "/metadata/1.root.json")));
    tuf::Client client = tuf::Client::Refresh(team.directory / "node", metadata, kStart).value();
    CHECK(client.Find("hostos/x86-64/stable/1.1.0.json"));
  }
}

}  // namespace
}  // namespace hostos

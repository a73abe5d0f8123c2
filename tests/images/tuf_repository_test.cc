#include "images/tuf_repository.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>

#include "images/program.h"
#include "tests/temp_dir.h"
#include "tests/text_file.h"
#include "updater/base/atomic_file.h"
#include "updater/base/clock.h"
#include "updater/tuf/client.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

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
  CHECK_FALSE(team.repository.Renew("timestamp", team.online).value());
  CHECK(team.Seen(target, kStart + 8 * kDay)->version == "1.0.0");
  CHECK(team.repository.Renew("mirrors", team.online).error().code == Code::kUsage);
}

// Where the timestamp counts for a day, the snapshot for two, and the rest for long.
struct QuietTeam : Team {
  QuietTeam() {
    RoleChange one{.keys = {}, .threshold = {}, .days = 1}, two = one;
    two.days = 2;
    REQUIRE(repository.StageRoot({{"snapshot", two}, {"timestamp", one}}));
    REQUIRE_FALSE(Sign({root, targets, online}));
    REQUIRE(repository.StageRelease(ReleaseNamed("1.0.0")));
    REQUIRE_FALSE(Sign({targets, online}));
  }
  void GoOn(uint64_t days) {
    {
      const TufRepository closed = std::move(repository);
    }
    repository = TufRepository::Open(path, kStart + days * kDay).value();
  }
};

TEST_CASE("a renewal renews whatever is due where its key is enough, and nothing else") {
  QuietTeam team;
  const std::string target = "hostos/x86-64/stable.json";
  for (const uint64_t days : {1, 2, 3, 30, 100}) {
    team.GoOn(days);
    CHECK_FALSE(team.repository.Renew("timestamp", team.online).value());
    CHECK(team.Seen(target, kStart + days * kDay)->version == "1.0.0");
  }
  const std::vector<PublishedRole> roles = team.repository.Published().value();
  REQUIRE(roles.size() == 4);
  CHECK(roles[1].role == "targets");
  CHECK(roles[1].version == 2);  // of all days its own are not over
  CHECK(roles[1].expires == kStart + 180 * kDay);
  CHECK(roles[1].due == kStart + 135 * kDay);

  team.GoOn(140);  // the targets are due, and who has the online key cannot help it
  CHECK_FALSE(team.repository.Renew("timestamp", team.online).value());
  CHECK(team.repository.Published()->at(1).version == 2);
  CHECK_FALSE(team.repository.Renew("targets", team.targets).value()->signatures);
  CHECK_FALSE(team.Sign({team.online}));
  CHECK(team.repository.Published()->at(1).expires == kStart + 320 * kDay);
}

TEST_CASE("the timestamp is renewed over what is published, whatever waits for its signatures") {
  QuietTeam team;
  const std::vector<SecretKey> second = NewKey();
  REQUIRE(team.repository.StageRoot({{"targets", By({team.targets, second}, 2)}}));
  REQUIRE_FALSE(team.Sign({team.root, team.targets, second, team.online}));
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.1.0")));
  CHECK(team.Sign({team.targets})->role == "targets");
  SECTION("a release") {}
  SECTION("a root") {
    REQUIRE(team.repository.StageRoot({{"root", By({team.root, second}, 2)}}));
    CHECK(team.Sign({team.root})->role == "root");
  }
  team.GoOn(3);
  CHECK_FALSE(team.repository.Renew("timestamp", team.online).value());
  CHECK(team.Seen("hostos/x86-64/stable.json", kStart + 3 * kDay)->version == "1.0.0");
  CHECK(std::filesystem::exists(team.path + "/staged/targets.json"));
  CHECK_FALSE(team.Sign({team.root, team.targets, second, team.online}));
  CHECK(team.Seen("hostos/x86-64/stable.json", kStart + 3 * kDay)->version == "1.1.0");
}

TEST_CASE("hostimage says what is due, and what nodes refuse") {
  const TempDir directory;
  const std::string repo = directory / "repo";
  const std::vector<SecretKey> all = NewKey(), online = NewKey(), other = NewKey();
  for (const auto& [name, keys] : {std::pair("online", online), {"other", other}})
    REQUIRE(SecretKey::Save(keys, directory / (std::string(name) + ".pem")));
  const std::string key = directory / "online.pem";
  const auto publish = [&](const std::vector<SecretKey>& snapshot, uint64_t days_ago) {
    std::filesystem::remove_all(repo);
    TufRepository repository =
        TufRepository::Open(repo, SystemClock().Now() - days_ago * kDay).value();
    RoleChange of_snapshot = By({snapshot}), of_timestamp = By({online});
    of_snapshot.days = 2;
    of_timestamp.days = 1;
    REQUIRE(repository.StageRoot({{"root", By({all})},
                                  {"targets", By({all})},
                                  {"snapshot", of_snapshot},
                                  {"timestamp", of_timestamp}}));
    std::vector<SecretKey> keys = all;
    keys.insert(keys.end(), {online.front(), other.front()});
    REQUIRE_FALSE(repository.Sign(keys).value());
  };
  // How it ended, and what it said.
  const auto hostimage = [&](std::vector<std::string> words) {
    words.insert(words.begin(), HOSTIMAGE);
    words.insert(words.end(), {"--repo", repo});
    const Result<std::string> said = RunProgram(words);
    return said ? "0: " + *said : said.error().message;
  };
  publish(online, 30);
  CHECK_THAT(hostimage({"check"}), ContainsSubstring("exit code 7"));
  CHECK_THAT(hostimage({"check"}), ContainsSubstring("snapshot version 1 expires at "));
  CHECK_THAT(hostimage({"renew", "timestamp", "--key", directory / "other.pem"}),
             ContainsSubstring("exit code 10"));
  CHECK_THAT(hostimage({"renew", "timestamp", "--key", key}), StartsWith("0: published"));
  CHECK_THAT(hostimage({"check"}), StartsWith("0: root"));
  CHECK_THAT(hostimage({"check", "--json"}), ContainsSubstring("\"refused\": null"));
  CHECK_THAT(hostimage({"check", "--within", "2"}), ContainsSubstring("exit code 10"));

  publish(other, 30);  // the timer has no key for the snapshot
  CHECK_THAT(hostimage({"renew", "timestamp", "--key", key}), ContainsSubstring("exit code 7"));
  publish(other, 1);
  WriteText(repo + "/metadata/1.snapshot.json", "{}");
  CHECK_THAT(hostimage({"check"}), ContainsSubstring("exit code "));
  publish(all, 0);
  WriteText(repo + "/metadata/1.targets.json", ReadText(repo + "/metadata/1.targets.json") + " ");
  CHECK_THAT(hostimage({"check"}), ContainsSubstring("exit code 7"));
  CHECK_THAT(hostimage({"check"}), ContainsSubstring("nodes refuse what is published: "));
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

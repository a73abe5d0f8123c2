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

std::vector<SecretKey> All(std::initializer_list<std::vector<SecretKey>> keys) {
  std::vector<SecretKey> all;
  for (const std::vector<SecretKey>& key : keys) all.insert(all.end(), key.begin(), key.end());
  return all;
}

std::vector<std::string> RolesOf(const std::vector<StagedRole>& staged) {
  std::vector<std::string> roles;
  for (const StagedRole& each : staged) roles.push_back(each.role);
  return roles;
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
  TufRepository repository = TufRepository::Create(path, kStart).value();

  Team() {
    REQUIRE(repository.StageRoot({{"root", By({root})},
                                  {"targets", By({targets})},
                                  {"snapshot", By({online})},
                                  {"timestamp", By({online})}}));
    REQUIRE(Sign({root, targets, online}).empty());
    REQUIRE(MakeDirectories(directory / "node"));
    REQUIRE(tuf::Client::Init(directory / "node", ReadText(path + "/metadata/1.root.json")));
  }

  // What lacks signatures then.
  std::vector<StagedRole> Sign(std::initializer_list<std::vector<SecretKey>> keys) {
    return repository.Sign(All(keys)).value().missing;
  }
  // Whoever goes on with what is on the disk.
  void OpenAgain(uint64_t now = kStart) {
    {
      const TufRepository closed = std::move(repository);
    }
    repository = TufRepository::Open(path, now).value();
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
  const std::vector<SecretKey> second = NewKey();
  // The keys of targets change, so what they signed before is to be signed again, with the root.
  REQUIRE(team.repository.StageRoot({{"targets", By({team.targets, second}, 2)}}));
  const std::vector<StagedRole> left = team.Sign({team.root, team.online});
  CHECK(RolesOf(left) == std::vector<std::string>{"targets", "snapshot", "timestamp"});
  CHECK(left[0].signed_by.empty());
  CHECK(left[0].others.size() == 2);
  CHECK(left[0].threshold == 2);
  REQUIRE(team.Sign({team.targets, second, team.online}).empty());

  CHECK(team.repository.StageRelease(ReleaseNamed("1.0.0"))->index == 1);
  CHECK(team.Sign({team.targets})[0].signed_by.size() == 1);
  CHECK(team.Seen().error().code == Code::kNotFound);
  team.OpenAgain();
  CHECK(team.Sign({team.targets})[0].signed_by.size() == 1);  // the same person again
  team.OpenAgain();
  CHECK(RolesOf(team.Sign({second})) == std::vector<std::string>{"snapshot", "timestamp"});
  CHECK(team.Seen().error().code == Code::kNotFound);
  team.OpenAgain();
  REQUIRE(team.Sign({team.online}).empty());
  CHECK(team.Seen().value().version == "1.0.0");
  CHECK(std::filesystem::is_empty(team.path + "/staged"));
  CHECK(team.repository.Staged()->empty());
}

TEST_CASE("new keys take over when the old ones and they themselves signed the next root") {
  Team team;
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.0.0")));
  REQUIRE(team.Sign({team.targets, team.online}).empty());
  const std::vector<SecretKey> root = NewKey(), online = NewKey();
  REQUIRE(team.repository.StageRoot(
      {{"root", By({root})}, {"snapshot", By({online})}, {"timestamp", By({online})}}));
  std::vector<StagedRole> left = team.Sign({root, online});
  CHECK(RolesOf(left) == std::vector<std::string>{"root", "snapshot", "timestamp"});
  CHECK(left[0].whose == "the keys of the root before");
  CHECK(team.Seen().value().version == "1.0.0");
  left = team.Sign({team.root, team.online});
  CHECK(left[0].role == "snapshot");  // the old online key speaks for nothing any more
  CHECK(team.Seen().value().version == "1.0.0");
  CHECK_THAT(ReadText(team.directory / "node/root.json"), ContainsSubstring("\"version\": 1"));
  REQUIRE(team.Sign({online}).empty());
  CHECK(team.Seen().value().version == "1.0.0");
  CHECK_THAT(ReadText(team.directory / "node/root.json"), ContainsSubstring("\"version\": 2"));

  REQUIRE(team.repository.StageRoot({{"root", By({team.root})}}));
  CHECK(team.Sign({team.root})[0].whose == "the keys of the root before");
  CHECK(team.repository.StageRoot({{"targets", By({team.targets}, 2)}}).error().code ==
        Code::kUsage);
}

TEST_CASE("while the keys of targets change, nodes see the old set or the whole new one") {
  Team team;
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.0.0")));
  REQUIRE(team.Sign({team.targets, team.online}).empty());
  const std::vector<SecretKey> next = NewKey();
  REQUIRE(team.repository.StageRoot({{"targets", By({next})}}));
  for (const std::vector<SecretKey>& key : {team.root, next}) {
    REQUIRE_FALSE(team.Sign({key}).empty());
    CHECK(team.Seen().value().version == "1.0.0");
    CHECK_FALSE(std::filesystem::exists(team.path + "/metadata/2.root.json"));
    CHECK_FALSE(std::filesystem::exists(team.path + "/metadata/3.targets.json"));
    // The timer's renewal is not held up, and brings nothing of it.
    CHECK(team.repository.Renew("timestamp", team.online)->missing.empty());
    CHECK(team.Seen().value().version == "1.0.0");
    team.OpenAgain();
  }
  REQUIRE(team.Sign({team.online}).empty());
  CHECK(team.Seen().value().version == "1.0.0");
  CHECK(std::filesystem::exists(team.path + "/metadata/2.root.json"));
  CHECK_FALSE(std::filesystem::exists(team.path + "/metadata.next"));
}

TEST_CASE("a root that waits for people holds up no release") {
  Team team;
  REQUIRE(team.repository.StageRoot({{"root", By({team.root, NewKey()}, 2)}}));
  CHECK(RolesOf(team.Sign({team.root})) == std::vector<std::string>{"root"});
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.0.0")));
  const SignResult result = team.repository.Sign(All({team.targets, team.online})).value();
  CHECK(RolesOf(result.missing) == std::vector<std::string>{"root"});
  CHECK(result.published == std::vector<std::string>{"targets", "snapshot", "timestamp"});
  CHECK(result.missing[0].signed_by.size() == 1);
  CHECK(team.Seen().value().version == "1.0.0");
}

TEST_CASE("a key of no role that a change needs is an error, and nothing is staged") {
  Team team;
  std::filesystem::remove_all(team.path + "/staged");
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.0.0")));
  const auto stranger = team.repository.Sign(All({team.targets, NewKey()}));
  CHECK(stranger.error().code == Code::kUsage);
  CHECK_THAT(stranger.error().message, ContainsSubstring("found one of none of them"));
  const auto other = team.repository.Sign(team.root);
  CHECK(other.error().code == Code::kUsage);
  CHECK_THAT(other.error().message, ContainsSubstring("expected a key of targets, snapshot, "
                                                      "timestamp"));
  CHECK(team.repository.Renew("timestamp", team.root).error().code == Code::kUsage);
  const std::vector<SecretKey> quantum = {SecretKey::Generate(Algorithm::kMlDsa65).value()};
  CHECK_THAT(team.repository.Renew("timestamp", quantum).error().message,
             ContainsSubstring("found no ed25519 key"));
  CHECK_FALSE(std::filesystem::exists(team.path + "/staged"));
  CHECK(team.Seen().error().code == Code::kNotFound);
}

// Copies of metadata/, targets/ and staged/, as people carry them: nothing is removed.
void Carry(const std::string& from, const std::string& to) {
  namespace fs = std::filesystem;
  for (const char* folder : {"metadata", "targets", "staged"})
    if (fs::exists(from + "/" + folder))
      fs::copy(from + "/" + folder, to + "/" + folder,
               fs::copy_options::recursive | fs::copy_options::overwrite_existing);
}

TEST_CASE("what people sign comes together by plain copies, in any order") {
  Team team;
  const std::vector<SecretKey> b = NewKey(), c = NewKey();
  REQUIRE(team.repository.StageRoot(
      {{"root", By({team.root, b, c}, 2)}, {"targets", By({team.targets, b, c}, 3)}}));
  REQUIRE_FALSE(team.Sign({team.root, team.targets}).empty());
  const TempDir at_b, at_c;
  for (const TempDir* place : {&at_b, &at_c}) {
    std::filesystem::create_directory(*place / "repo");
    Carry(team.path, *place / "repo");
  }
  const auto sign = [](const TempDir& place, const std::vector<SecretKey>& keys) {
    return TufRepository::Open(place / "repo", kStart).value().Sign(keys).value().missing;
  };
  CHECK(sign(at_b, b).at(0).role == "targets");
  CHECK(sign(at_c, c).at(0).role == "targets");
  SECTION("b, then c") {
    for (const TempDir* place : {&at_b, &at_c}) Carry(*place / "repo", team.path);
  }
  SECTION("c, then b, then an old one of c again") {
    for (const TempDir* place : {&at_c, &at_b, &at_c}) Carry(*place / "repo", team.path);
  }
  team.OpenAgain();
  CHECK(RolesOf(team.repository.Staged().value()) == std::vector<std::string>{"root", "targets"});
  REQUIRE(team.Sign({team.online}).empty());
  CHECK(team.Seen().error().code == Code::kNotFound);  // no release yet, by all the rules
  CHECK_THAT(ReadText(team.directory / "node/root.json"), ContainsSubstring("\"version\": 2"));

  // A copy from before: what it has staged was published meanwhile, and its timestamp is an old
  // one.
  Carry(at_b / "repo", team.path);
  team.OpenAgain();
  CHECK(team.repository.Staged()->empty());
  CHECK(team.repository.CheckTimestamp().error().code == Code::kNotTrusted);
  CHECK(team.repository.Renew("timestamp", team.online)->missing.empty());
  CHECK(team.repository.CheckTimestamp());
  CHECK(team.Seen().error().code == Code::kNotFound);
  CHECK(team.repository.StageRelease(ReleaseNamed("1.0.0")));
  CHECK(team.Sign({team.targets, b, c, team.online}).empty());
  CHECK(team.Seen().value().version == "1.0.0");
}

TEST_CASE("what is staged succeeds exactly what it was made from, or is staged again") {
  Team team;
  const std::vector<SecretKey> second = NewKey();
  REQUIRE(team.repository.StageRoot({{"targets", By({team.targets, second}, 2)}}));
  REQUIRE(team.Sign({team.root, team.targets, second, team.online}).empty());
  for (const char* version : {"1.0.0", "1.1.0"})
    REQUIRE(team.repository.StageRelease(ReleaseNamed(version)));
  REQUIRE(team.Sign({team.targets, second, team.online}).empty());

  // 1.2.0 is carried away half signed; 1.1.0 is withdrawn meanwhile, under the same version of
  // targets.
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.2.0")));
  REQUIRE_FALSE(team.Sign({team.targets}).empty());
  const TempDir away;
  std::filesystem::copy(team.path + "/staged", away / "staged");
  REQUIRE(team.repository.Abandon());
  REQUIRE(team.repository.StageWithdrawal("hostos", "x86-64", "stable", "1.1.0"));
  REQUIRE(team.Sign({team.targets, second, team.online}).empty());
  const std::string before = ReadText(team.path + "/metadata/4.targets.json");

  std::filesystem::copy(away / "staged", team.path + "/staged",
                        std::filesystem::copy_options::recursive);
  team.OpenAgain();
  const auto refused = team.repository.Sign(All({second, team.online}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kRefused);
  CHECK_THAT(refused.error().message, ContainsSubstring("hostimage abandon"));
  CHECK(team.repository.StageRelease(ReleaseNamed("1.3.0")).error().code == Code::kRefused);
  CHECK(team.repository.Renew("timestamp", team.online)->missing.empty());
  CHECK(team.Seen().value().version == "1.0.0");
  CHECK(ReadText(team.path + "/metadata/4.targets.json") == before);
  REQUIRE(team.repository.Abandon());
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.2.0")));
  REQUIRE(team.Sign({team.targets, second, team.online}).empty());
  CHECK(team.Seen().value().version == "1.2.0");
}

TEST_CASE("a signature on a stick makes no file elsewhere, whoever it says it is of") {
  Team team;
  const std::vector<SecretKey> second = NewKey();
  REQUIRE(team.repository.StageRoot({{"targets", By({team.targets, second}, 2)}}));
  REQUIRE_FALSE(team.Sign({team.root, team.targets}).empty());
  const std::string staged = team.path + "/staged";
  std::string payload;
  for (const auto& file : std::filesystem::directory_iterator(staged))
    if (file.path().filename().string().starts_with("targets.") &&
        file.path().filename() != "targets.json")
      payload = tuf::Json::parse(ReadText(file.path()))["payload"];
  REQUIRE(payload.size() == 64);
  WriteText(staged + "/targets.evil.json",
            tuf::Json{{"keyid", "/../../evil"}, {"sig", "00"}, {"payload", payload}}.dump());
  team.OpenAgain();
  CHECK(team.repository.Sign(team.root));
  for (const auto& file : std::filesystem::recursive_directory_iterator(team.path))
    CHECK((file.path() == staged + "/targets.evil.json" || !file.path().string().contains("evil")));
}

TEST_CASE("what no node could read is not staged") {
  Team team;
  for (std::string ReleaseTarget::* name : {&ReleaseTarget::product, &ReleaseTarget::architecture,
                                            &ReleaseTarget::channel, &ReleaseTarget::version}) {
    ReleaseTarget release = ReleaseNamed("1.0.0");
    release.*name = "../1.0";
    CHECK(team.repository.StageRelease(release).error().code == Code::kUsage);
  }
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
  REQUIRE(team.Sign({team.targets, team.online}).empty());
  CHECK(team.Seen().value().version == "1.1.0");
  CHECK(team.Seen("hostos/x86-64/edge.json").value().version == "2.0.0");

  CHECK(team.repository.StageWithdrawal("hostos", "x86-64", "stable", "9").error().code ==
        Code::kNotFound);
  REQUIRE(team.repository.StageWithdrawal("hostos", "x86-64", "stable", "1.1.0"));
  REQUIRE(team.Sign({team.targets, team.online}).empty());
  CHECK(team.Seen().value().version == "1.0.0");
  CHECK(team.Seen("hostos/x86-64/stable/1.1.0.json").error().code == Code::kNotFound);
  REQUIRE(team.repository.StageWithdrawal("hostos", "x86-64", "stable", "1.0.0"));
  REQUIRE(team.Sign({team.targets, team.online}).empty());
  CHECK(team.Seen().error().code == Code::kNotFound);
  CHECK(team.repository.StageRelease(ReleaseNamed("1.2.0"))->index == 4);
}

TEST_CASE("the least index that is allowed grows with a release and never shrinks") {
  Team team;
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.0.0")));
  ReleaseTarget release = ReleaseNamed("1.1.0");
  release.minimum_index = 2001;  // more than the second version of targets vouches for
  CHECK(team.repository.StageRelease(release).error().code == Code::kRefused);
  release.minimum_index = 2;
  CHECK(team.repository.StageRelease(release)->minimum_index == 2);
  CHECK(team.repository.StageRelease(ReleaseNamed("1.2.0"))->minimum_index == 2);
  REQUIRE(team.Sign({team.targets, team.online}).empty());
  CHECK(team.Seen("hostos/x86-64/stable/1.0.0.json").value().index == 1);
  CHECK(team.Seen().value().minimum_index == 2);

  // Not when what raised it is gone either.
  for (const char* version : {"1.2.0", "1.1.0"})
    REQUIRE(team.repository.StageWithdrawal("hostos", "x86-64", "stable", version));
  REQUIRE(team.Sign({team.targets, team.online}).empty());
  CHECK(team.Seen().error().code == Code::kNotFound);
  CHECK(team.repository.StageRelease(ReleaseNamed("1.3.0"))->minimum_index == 2);
}

TEST_CASE("a renewed timestamp counts for longer, with the online key alone") {
  Team team;
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.0.0")));
  REQUIRE(team.Sign({team.targets, team.online}).empty());
  const std::string target = "hostos/x86-64/stable.json";
  CHECK(team.Seen(target, kStart + 8 * kDay).error().code == Code::kNotTrusted);
  team.OpenAgain(kStart + 5 * kDay);
  CHECK(team.repository.Renew("timestamp", team.online)->missing.empty());
  CHECK(team.Seen(target, kStart + 8 * kDay).value().version == "1.0.0");
  CHECK(team.repository.Renew("mirrors", team.online).error().code == Code::kUsage);
}

// Where the timestamp counts for a day, the snapshot for two, and the rest for long.
struct QuietTeam : Team {
  QuietTeam() {
    RoleChange one{.keys = {}, .threshold = {}, .days = 1}, two = one;
    two.days = 2;
    REQUIRE(repository.StageRoot({{"snapshot", two}, {"timestamp", one}}));
    REQUIRE(Sign({root, targets, online}).empty());
    REQUIRE(repository.StageRelease(ReleaseNamed("1.0.0")));
    REQUIRE(Sign({targets, online}).empty());
  }
  void GoOn(uint64_t days) { OpenAgain(kStart + days * kDay); }
};

TEST_CASE("a renewal renews whatever is due where its key is enough, and nothing else") {
  QuietTeam team;
  const std::string target = "hostos/x86-64/stable.json";
  for (const uint64_t days : {1, 2, 3, 30, 100}) {
    team.GoOn(days);
    CHECK(team.repository.Renew("timestamp", team.online)->missing.empty());
    CHECK(team.Seen(target, kStart + days * kDay).value().version == "1.0.0");
  }
  const std::vector<PublishedRole> roles = team.repository.Published().value();
  REQUIRE(roles.size() == 4);
  CHECK(roles[1].role == "targets");
  CHECK(roles[1].version == 2);  // of all days its own are not over
  CHECK(roles[1].expires == kStart + 180 * kDay);
  CHECK(roles[1].due == kStart + 135 * kDay);

  team.GoOn(140);  // the targets are due, and who has the online key cannot help it
  CHECK(team.repository.Renew("timestamp", team.online)->missing.empty());
  CHECK(team.repository.Published()->at(1).version == 2);
  CHECK(RolesOf(team.repository.Renew("targets", team.targets)->missing) ==
        std::vector<std::string>{"snapshot", "timestamp"});
  CHECK(team.Sign({team.online}).empty());
  CHECK(team.repository.Published()->at(1).expires == kStart + 320 * kDay);
}

TEST_CASE("the timestamp is renewed over what is published, whatever waits for its signatures") {
  QuietTeam team;
  const std::vector<SecretKey> second = NewKey();
  REQUIRE(team.repository.StageRoot({{"targets", By({team.targets, second}, 2)}}));
  REQUIRE(team.Sign({team.root, team.targets, second, team.online}).empty());
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.1.0")));
  CHECK(team.Sign({team.targets})[0].role == "targets");
  SECTION("a release") {}
  SECTION("a root") {
    REQUIRE(team.repository.StageRoot({{"root", By({team.root, second}, 2)}}));
    CHECK(team.Sign({team.root})[0].role == "root");
  }
  team.GoOn(3);
  CHECK(team.repository.Renew("timestamp", team.online)->missing.empty());
  CHECK(team.Seen("hostos/x86-64/stable.json", kStart + 3 * kDay).value().version == "1.0.0");
  CHECK(std::filesystem::exists(team.path + "/staged/targets.json"));
  CHECK(team.repository.Renew("targets", team.targets).error().code == Code::kRefused);
  team.GoOn(3);
  CHECK(team.Sign({team.root, team.targets, second, team.online}).empty());
  CHECK(team.Seen("hostos/x86-64/stable.json", kStart + 3 * kDay).value().version == "1.1.0");
}

TEST_CASE("a daily timer serves nodes for ninety days, whatever waits for its signatures") {
  Team team;
  const std::vector<SecretKey> second = NewKey();
  REQUIRE(team.repository.StageRoot({{"targets", By({team.targets, second}, 2)}}));
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.0.0")));
  REQUIRE(team.Sign({team.root, team.targets, second, team.online}).empty());
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.1.0")));
  REQUIRE(team.repository.StageRoot({{"root", By({team.root, second}, 2)}}));
  REQUIRE_FALSE(team.Sign({team.targets}).empty());
  const std::string target = "hostos/x86-64/stable.json";
  for (uint64_t day = 1; day <= 90; day++) {
    team.OpenAgain(kStart + day * kDay);
    CAPTURE(day);
    REQUIRE(team.repository.Renew("timestamp", team.online)->missing.empty());
    REQUIRE(team.Seen(target, kStart + (day + 1) * kDay).value().version == "1.0.0");
  }
  REQUIRE(team.Sign({team.root, second, team.online}).empty());
  CHECK(team.Seen(target, kStart + 90 * kDay).value().version == "1.1.0");
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
        TufRepository::Create(repo, SystemClock().Now() - days_ago * kDay).value();
    RoleChange of_snapshot = By({snapshot}), of_timestamp = By({online});
    of_snapshot.days = 2;
    of_timestamp.days = 1;
    REQUIRE(repository.StageRoot({{"root", By({all})},
                                  {"targets", By({all})},
                                  {"snapshot", of_snapshot},
                                  {"timestamp", of_timestamp}}));
    std::vector<SecretKey> keys = all;
    keys.insert(keys.end(), {online.front(), snapshot.front()});
    REQUIRE(repository.Sign(keys)->missing.empty());
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
             ContainsSubstring("exit code 2"));
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
  REQUIRE(team.Sign({team.targets, team.online}).empty());
  REQUIRE(team.repository.StageRelease(ReleaseNamed("1.1.0")));
  namespace fs = std::filesystem;
  REQUIRE_FALSE(team.Sign({}).empty());
  fs::copy(team.path + "/staged", team.directory / "staged");
  const std::string before = ReadText(team.path + "/metadata/timestamp.json");
  REQUIRE(team.Sign({team.targets, team.online}).empty());
  // The files of the third versions in the order they were written; without the last `missing`.
  const std::vector<std::string> written = {"3.targets.json", "3.snapshot.json", "timestamp.json"};
  for (size_t missing = 1; missing <= written.size(); missing++) {
    const TempDir copy;
    fs::copy(team.path, copy / "repo", fs::copy_options::recursive);
    for (size_t i = written.size() - missing; i < written.size(); i++)
      fs::remove(copy / ("repo/metadata/" + written[i]));
    WriteText(copy / "repo/metadata/timestamp.json", before);
    fs::remove_all(team.directory / "node");
    if (missing == written.size()) fs::copy(team.directory / "staged", copy / "repo/staged");
    TufRepository again = TufRepository::Open(copy / "repo", kStart).value();
    std::vector<SecretKey> keys = team.targets;
    keys.push_back(team.online.front());
    CHECK(again.Sign(keys)->missing.empty());
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

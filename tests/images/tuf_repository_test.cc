#include "images/tuf_repository.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>

#include "tests/images/team.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

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
    FetchedDirectory metadata(copy / "repo/metadata");
    REQUIRE(MakeDirectories(team.directory / "node"));
    REQUIRE(
        tuf::Client::Init(team.directory / "node", ReadText(team.path + "/metadata/1.root.json")));
    tuf::Client client = tuf::Client::Refresh(team.directory / "node", metadata, kStart).value();
    CHECK(client.Find("hostos/x86-64/stable/1.1.0.json"));
  }
}

}  // namespace

}  // namespace hostos

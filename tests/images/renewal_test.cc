// What counts for longer once it is renewed, what is due, and what waits.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>

#include "images/program.h"
#include "tests/images/team.h"
#include "updater/base/clock.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

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

}  // namespace

}  // namespace hostos

// A verb ends with 0 when nodes see what it did, and says whose turn it is when they do not.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "images/program.h"
#include "tests/images/small_release.h"
#include "tests/source/release_fixture.h"
#include "updater/source/repo.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

// Alice and Bob publish together; the online key is somebody else's.
struct Ceremony {
  SmallRelease small;
  std::string repo = small / "repo";

  Ceremony() {
    for (const char* name : {"alice", "bob", "online", "stranger"}) Said({"keygen"}, name);
    REQUIRE(small.Commit());
  }

  std::string Path(const std::string& file) const { return small / file; }

  // "CODE: what it said", of a verb with this person's key.
  std::string Said(std::vector<std::string> words, const std::string& key = "") {
    words.insert(words.begin(), HOSTIMAGE);
    if (words[1] == "keygen") {
      words.insert(words.end(), {"--secret", Path(key + ".pem"), "--public", Path(key + ".pub")});
    } else {
      words.insert(words.end(), {"--repo", repo});
      if (!key.empty()) words.insert(words.end(), {"--key", Path(key + ".pem")});
    }
    const Result<std::string> said = RunProgram(words);
    if (said) return "0: " + *said;
    const std::string& message = said.error().message;
    return message.substr(message.find("exit code ") + std::string_view("exit code ").size());
  }

  std::vector<std::string> Root() const {
    return {"root",
            "--root-key",
            Path("alice.pub"),
            "--root-key",
            Path("bob.pub"),
            "--targets-key",
            Path("alice.pub"),
            "--targets-key",
            Path("bob.pub"),
            "--threshold",
            "root=2",
            "--threshold",
            "targets=2",
            "--snapshot-key",
            Path("online.pub"),
            "--timestamp-key",
            Path("online.pub")};
  }
  void Begin() {
    Said(Root(), "alice");
    Said({"sign"}, "bob");
    REQUIRE(Said({"sign"}, "online").starts_with("0: "));
  }
};

TEST_CASE("hostimage says whose signatures are missing, and ends with 4 until nodes see it") {
  Ceremony team;
  std::string said = team.Said(team.Root());
  CHECK(said.starts_with("4\n"));
  CHECK_THAT(said, ContainsSubstring("root      version 1: 0 of 2 signatures of the role's keys: "
                                     "nobody; not yet: "));
  said = team.Said({"sign"}, "alice");
  CHECK(said.starts_with("4\n"));
  CHECK_THAT(said, ContainsSubstring("targets   version 1: 1 of 2 signatures of the role's keys: "
                                     "alice; not yet: bob\n"));
  CHECK_THAT(said, ContainsSubstring("timestamp follows, signed by 1 of: online\n"));
  CHECK_THAT(said, ContainsSubstring("hostimage sign --repo " + team.repo));
  CHECK(team.Said({"staged"}).starts_with("4\n"));
  CHECK(team.Said({"check"}).starts_with("1\n"));  // no root yet
  CHECK(team.Said({"sign"}, "bob").starts_with("4\n"));
  CHECK(team.Said({"sign"}, "online") == "0: published: root, targets, snapshot, timestamp\n");
  CHECK(team.Said({"sign"}, "online").starts_with("3\n"));
  CHECK(team.Said({"staged"}) == "0: nothing is staged\n");
  CHECK(team.Said({"check"}).starts_with("0: "));

  CHECK(team.Said({"publish", "1.0.0"}, "stranger").starts_with("2\n"));
  CHECK(team.Said({"renew", "timestamp"}, "stranger").starts_with("2\n"));
  CHECK(team.Said({"releases", "--channel", "stable"}).starts_with("1\n"));
  CHECK(team.Said({"publish", "1.0.0"}, "alice").starts_with("4\n"));
  CHECK_THAT(team.Said({"releases", "--channel", "stable"}), ContainsSubstring("  staged\n"));
  CHECK(team.Said({"publish", "1.0.0"}, "alice").starts_with("12\n"));  // it is staged already
  CHECK(team.Said({"sign"}, "bob").starts_with("4\n"));
  CHECK(team.Said({"sign"}, "online").starts_with("0: "));
  CHECK_THAT(team.Said({"releases", "--channel", "stable"}), ContainsSubstring("  published\n"));
}

TEST_CASE("what is staged can be listed for programs, and abandoned") {
  Ceremony team;
  team.Begin();
  CHECK(team.Said({"abandon"}).starts_with("3\n"));
  CHECK(team.Said({"publish", "1.0.0"}, "bob").starts_with("4\n"));
  const auto json = nlohmann::json::parse(
      Shell(std::format("{} staged --json --repo {} 2>/dev/null", HOSTIMAGE, team.repo)).output);
  REQUIRE(json["staged"].size() == 1);
  CHECK(json["staged"][0]["role"] == "targets");
  CHECK(json["staged"][0]["version"] == 2);
  CHECK(json["staged"][0]["signed_by"] == nlohmann::json{"bob"});
  CHECK(json["staged"][0]["not_yet"] == nlohmann::json{"alice"});
  CHECK(team.Said({"abandon"}) == "0: abandoned: targets version 2\n");
  CHECK(fs::is_empty(team.repo + "/staged"));
  CHECK(team.Said({"releases", "--channel", "stable"}).starts_with("1\n"));
}

TEST_CASE("a withdrawn release is what the channel's ref leads to no longer") {
  Ceremony team;
  team.Begin();
  const auto publish = [&](const std::string& version) {
    WriteText(team.Path("root/usr/lib/os-release"), "ID=hostos\nIMAGE_VERSION=" + version + "\n");
    CommitOptions options = team.small.Options();
    options.version = version;
    const Release release = team.small.Commit(options).value();
    team.Said({"publish", version}, "alice");
    team.Said({"sign"}, "bob");
    REQUIRE(team.Said({"sign"}, "online").starts_with("0: "));
    return release.commit;
  };
  const auto channel = [&] {
    return Repo::Open(team.repo)->ResolveRef(ChannelRef("x86-64", "stable"));
  };
  const Digest first = publish("1.1.0"), second = publish("1.2.0");
  CHECK(channel() == second);
  CHECK(team.Said({"withdraw", "1.2.0", "--channel", "stable"}, "alice").starts_with("4\n"));
  CHECK(channel() == first);
  CHECK_THAT(team.Said({"releases", "--channel", "stable"}),
             ContainsSubstring("published, withdrawal staged"));
  team.Said({"sign"}, "bob");
  CHECK(team.Said({"sign"}, "online").starts_with("0: "));
  team.Said({"withdraw", "1.1.0", "--channel", "stable"}, "alice");
  CHECK(channel().error().code == Code::kNotFound);
  CHECK(Repo::Open(team.repo)->ResolveRef(ReleaseRef("x86-64", "1.2.0")) == second);
}

TEST_CASE("a repository that is not there is an error, and is not made") {
  Ceremony team;
  team.repo = team.small / "mistyped";
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"renew", "timestamp"},
                                             {"publish", "1.0.0"},
                                             {"sign"},
                                             {"staged"},
                                             {"check"},
                                             {"releases", "--channel", "stable"},
                                             {"withdraw", "1.0.0", "--channel", "stable"}}) {
    const std::string said = team.Said(words);
    INFO(words[0]);
    CHECK(said.starts_with("1\n"));
    CHECK_THAT(said,
               ContainsSubstring("mistyped: expected a repository with metadata, found none"));
  }
  CHECK_FALSE(fs::exists(team.repo));
}

}  // namespace
}  // namespace hostos

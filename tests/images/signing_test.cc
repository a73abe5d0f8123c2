// A verb ends with 0 when nodes see what it did, and says whose turn it is when they do not.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "images/program.h"
#include "tests/images/small_release.h"
#include "tests/source/release_fixture.h"
#include "updater/release/release_target.h"
#include "updater/release/signature.h"
#include "updater/source/repo.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::EndsWith;
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

  // What `staged` shows, for programs.
  nlohmann::json Staged() const {
    return nlohmann::json::parse(
        Shell(std::format("{} staged --json --repo {} 2>/dev/null", HOSTIMAGE, repo)).output);
  }
  std::string Digest() const { return Staged()["digest"]; }
  // By somebody who looked.
  std::string Sign(const std::string& key) {
    const std::string digest = Digest();
    return digest.empty() ? Said({"sign"}, key) : Said({"sign", "--digest", digest}, key);
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
    Sign("bob");
    REQUIRE(Sign("online").starts_with("0: "));
  }
};

TEST_CASE("hostimage says whose signatures are missing, and ends with 4 until nodes see it") {
  Ceremony team;
  std::string said = team.Said(team.Root());
  CHECK(said.starts_with("4\n"));
  CHECK_THAT(said, ContainsSubstring("root      version 1: 0 of 2 signatures of the role's keys: "
                                     "nobody; not yet: "));
  said = team.Sign("alice");
  CHECK(said.starts_with("4\n"));
  CHECK_THAT(said, ContainsSubstring("targets   version 1: 1 of 2 signatures of the role's keys: "
                                     "alice; not yet: bob\n"));
  CHECK_THAT(said, ContainsSubstring("timestamp follows, signed by 1 of: online\n"));
  CHECK_THAT(said, ContainsSubstring("hostimage sign --repo " + team.repo));
  CHECK(team.Said({"staged"}).starts_with("4\n"));
  CHECK(team.Said({"check"}).starts_with("1\n"));  // no root yet
  CHECK(team.Sign("bob").starts_with("4\n"));
  CHECK_THAT(team.Sign("online"), EndsWith("\npublished: root, targets, snapshot, timestamp\n"));
  CHECK(team.Said({"sign"}, "online").starts_with("3\n"));
  CHECK(team.Said({"staged"}) == "0: nothing is staged\n");
  CHECK(team.Said({"check"}).starts_with("0: "));

  CHECK(team.Said({"publish", "1.0.0"}, "stranger").starts_with("2\n"));
  CHECK(team.Said({"renew", "timestamp"}, "stranger").starts_with("2\n"));
  CHECK(team.Said({"releases", "--channel", "stable"}).starts_with("1\n"));
  CHECK(team.Said({"publish", "1.0.0"}, "alice").starts_with("4\n"));
  CHECK_THAT(team.Said({"releases", "--channel", "stable"}), ContainsSubstring("  staged\n"));
  CHECK(team.Said({"publish", "1.0.0"}, "alice").starts_with("12\n"));  // it is staged already
  CHECK(team.Sign("bob").starts_with("4\n"));
  CHECK(team.Sign("online").starts_with("0: "));
  CHECK_THAT(team.Said({"releases", "--channel", "stable"}), ContainsSubstring("  published\n"));
}

TEST_CASE("what is staged can be listed for programs, and abandoned") {
  Ceremony team;
  team.Begin();
  CHECK(team.Said({"abandon"}).starts_with("3\n"));
  CHECK(team.Said({"publish", "1.0.0"}, "bob").starts_with("4\n"));
  const nlohmann::json json = team.Staged();
  REQUIRE(json["staged"].size() == 1);
  CHECK(json["staged"][0]["role"] == "targets");
  CHECK(json["staged"][0]["version"] == 2);
  CHECK(json["staged"][0]["signed_by"] == nlohmann::json{"bob"});
  CHECK(json["staged"][0]["not_yet"] == nlohmann::json{"alice"});
  CHECK(team.Said({"abandon"}) == "0: abandoned: targets version 2\n");
  CHECK(fs::is_empty(team.repo + "/staged"));
  CHECK(team.Said({"releases", "--channel", "stable"}).starts_with("1\n"));
}

// Somebody edits what is staged, while it lies on a stick: "stable" gets another newest release.
struct Edited : Ceremony {
  std::string targets = repo + "/staged/targets.json";
  nlohmann::json body;

  Edited() {
    Begin();
    REQUIRE(Said({"publish", "1.0.0"}, "alice").starts_with("4\n"));
    body = nlohmann::json::parse(ReadText(targets))["signed"];
  }
  void Write(const nlohmann::json& changed) const {
    WriteText(targets,
              nlohmann::json{{"signatures", nlohmann::json::array()}, {"signed", changed}}.dump());
  }
  // Puts a target there, with this content.
  void Put(const std::string& path, const std::string& content) {
    const std::string sha256 = Sha256::Of(AsBytes(content)).Hex();
    const size_t name = path.rfind('/') + 1;
    WriteText(repo + "/targets/" + path.substr(0, name) + sha256 + "." + path.substr(name),
              content);
    body["targets"][path] = {{"length", content.size()}, {"hashes", {{"sha256", sha256}}}};
    Write(body);
  }
  ReleaseTarget Evil() const {
    const auto& entry = body["targets"]["hostos/x86-64/stable.json"];
    ReleaseTarget release =
        ParseReleaseTarget(ReadText(repo + "/targets/hostos/x86-64/" +
                                    entry["hashes"]["sha256"].get<std::string>() + ".stable.json"))
            .value();
    release.version = "6.6.6";
    release.index = INT64_MAX;
    return release;
  }
  void Edit() {
    body["expires"] = "2030-01-01T00:00:00Z";
    const std::string content = WriteReleaseTarget(Evil());
    Put("hostos/x86-64/stable/6.6.6.json", content);
    Put("hostos/x86-64/stable.json", content);
  }
  // How many have signed what is staged, whatever that is.
  size_t Signatures() const {
    size_t count = 0;
    for (const fs::directory_entry& file : fs::directory_iterator(repo + "/staged"))
      count += file.path().filename().string().starts_with("targets.") && file.path() != targets;
    return count;
  }
};

TEST_CASE("nobody signs what they were not shown") {
  Edited team;
  const std::string before = team.Digest();
  REQUIRE(team.Signatures() == 1);  // Alice's, of the release that she staged
  team.Edit();
  CHECK(team.Digest() != before);

  std::string said = team.Said({"sign"}, "bob");
  CHECK(said.starts_with("2\n"));
  CHECK_THAT(said, ContainsSubstring("next: hostimage staged --repo " + team.repo +
                                     ", then hostimage sign --repo " + team.repo + " --digest "));
  said = team.Said({"sign", "--digest", before}, "bob");
  CHECK(said.starts_with("12\n"));
  CHECK_THAT(said, ContainsSubstring("it is not what was looked at"));
  for (const std::string& few : {before.substr(0, 31), before + "0", std::string(64, 'G')})
    CHECK(team.Said({"sign", "--digest", few}, "bob").starts_with("2\n"));
  // Nor under the name of a change of their own.
  CHECK(team.Said({"publish", "7.0"}, "bob").starts_with("1\n"));
  CHECK(team.Said({"withdraw", "1.0.0", "--channel", "stable"}, "bob").starts_with("2\n"));
  CHECK(team.Said({"root", "--days", "targets=9"}, "bob").starts_with("2\n"));
  CHECK(team.Signatures() == 1);

  // Who looks sees all of it.
  const CommandResult shown =
      Shell(std::format("{} staged --repo {} 2>/dev/null", HOSTIMAGE, team.repo));
  CHECK(shown.status == 4);
  for (const char* line :
       {"\ntargets\n", "  + release hostos/x86-64/stable/6.6.6: commit ",
        "  + newest hostos/x86-64/stable: commit ", "index 9223372036854775807, ",
        "  + release hostos/x86-64/stable/1.0.0: ", "  + last index of hostos/x86-64: 1\n",
        "  ~ expires: "})
    CHECK_THAT("\n" + shown.output, ContainsSubstring(line));
  const nlohmann::json changes = team.Staged()["changes"]["targets"];
  const auto newest = std::ranges::find_if(
      changes, [](const auto& each) { return each["what"] == "newest hostos/x86-64/stable"; });
  REQUIRE(newest != changes.end());
  CHECK((*newest)["after"]["index"] == INT64_MAX);
  CHECK((*newest)["after"]["version"] == "6.6.6");
  CHECK_FALSE(newest->contains("before"));
  // And can sign it, by its digest or the first half of that.
  CHECK(team.Said({"sign", "--digest", team.Digest().substr(0, 32)}, "bob").starts_with("4\n"));
  CHECK(team.Signatures() == 2);
}

TEST_CASE("a terminal is asked before it signs, and no answer is no") {
  Edited team;
  const auto type = [&](const std::string& answer) {
    return Shell("printf '" + answer + "' | script -qec '" HOSTIMAGE " sign --repo " + team.repo +
                 " --key " + team.Path("bob.pem") + "' /dev/null");
  };
  for (const char* answer : {"n\\n", "\\n", "yes\\n", "no, y\\n", "\\004"}) {
    CAPTURE(answer);
    const CommandResult said = type(answer);
    CHECK(said.status == 1);
    CHECK_THAT(said.output, ContainsSubstring("  + newest hostos/x86-64/stable: commit "));
    CHECK_THAT(said.output, ContainsSubstring("Sign this? y/N: "));
    CHECK(team.Signatures() == 1);
  }
  CHECK(type("y\\n").status == 4);
  CHECK(team.Signatures() == 2);
}

TEST_CASE("what is signed is compared with what is published, and that is verified") {
  Edited team;
  const std::string digest = team.Digest();
  const auto refused = [&](const std::string& why) {
    const std::string said = team.Said({"sign", "--digest", digest}, "bob");
    CHECK_THAT(said, ContainsSubstring(why));
    CHECK(team.Said({"staged"}).substr(0, 2) == said.substr(0, 2));
    CHECK(team.Signatures() == 1);
  };
  SECTION("metadata that nobody signed") {
    const std::string published = team.repo + "/metadata/1.targets.json";
    nlohmann::json file = nlohmann::json::parse(ReadText(published));
    file["signed"]["x-hostos-index"] = {{"hostos/x86-64", 77}};
    WriteText(published, file.dump());
    refused("targets: expected good signatures by 2 of 2 keys, found 0");
  }
  SECTION("a root of somebody else's") {
    const std::string published = team.repo + "/metadata/2.root.json";
    WriteText(published, ReadText(team.Path("root/usr/lib/hostos/tuf/root.json")));
    refused("2.root.json: ");
  }
  SECTION("a target's file with another content") {
    const std::string file =
        FilesEndingIn(team.repo + "/targets/hostos/x86-64/stable", ".1.0.0.json").at(0);
    ReleaseTarget release = ParseReleaseTarget(ReadText(file)).value();
    release.index = 2;
    WriteText(file, WriteReleaseTarget(release));
    refused("sha256: expected ");
  }
  SECTION("a target whose file is not here") {
    fs::remove_all(team.repo + "/targets");
    refused("No such file");
  }
  SECTION("a release under another's name") {
    team.Put("hostos/x86-64/stable/1.1.json", WriteReleaseTarget(team.Evil()));
    refused("stable/1.1.json: expected the release of this name, found hostos/x86-64/stable/6.6.6");
  }
}

TEST_CASE("whatever is in what is staged is shown, and says nothing to a terminal") {
  Edited team;
  const nlohmann::json strange = {{"\x1b]0;mine\x07", {{"a\nb", "\x1b[2J\xc2\x9b"}}}};
  team.body["x\x1b[31m"] = strange;
  team.body["x-hostos-minimum"]["hostos/\x1b[0m\n  + expires: never"] = 5;
  team.body["targets"]["\x1b[1m/tool"] = {{"length", 3}, {"hashes", {{"sha256", "00"}}}};
  team.body["delegations"] = {{"keys", nlohmann::json::object()},
                              {"roles",
                               {{{"name", "\x1b[2J"},
                                 {"keyids", nlohmann::json::array()},
                                 {"threshold", 1},
                                 {"paths", {"*"}},
                                 {"terminating", true}}}}};
  team.Write(team.body);
  for (const char* json : {"", "--json"}) {
    const CommandResult shown =
        Shell(std::format("{} staged {} --repo {}", HOSTIMAGE, json, team.repo));
    INFO(shown.output);
    CHECK(std::ranges::none_of(shown.output,
                               [](char c) { return c != '\n' && (c < ' ' || c > '~'); }));
    for (const char* part :
         {"x%1B%5B31m/%1B%5D0%3Bmine%07/a%0Ab", "\\u001b[2J\\u009b",
          "minimum index of hostos/%1B%5B0m%0A%20%20%2B%20expires%3A%20never",
          "target %1B%5B1m/tool", "delegations/roles[0]/name", "delegations/roles[0]/paths[0]"})
      CHECK_THAT(shown.output, ContainsSubstring(part));
  }
}

TEST_CASE("a root is shown by its keys, whatever they call themselves") {
  Ceremony team;
  CHECK(team.Said(team.Root()).starts_with("4\n"));
  const std::string alice = PublicKey::Load(team.Path("alice.pub"))->at(0).Text(),
                    stranger = PublicKey::Load(team.Path("stranger.pub"))->at(0).Text();
  const auto shown = [&] {
    return Shell(std::format("{} staged --repo {} 2>/dev/null", HOSTIMAGE, team.repo)).output;
  };
  const auto line = [](const std::string& what, const std::string& key) {
    return what + key.substr(0, key.find('\n')) + ": ";
  };
  CHECK_THAT(shown(), ContainsSubstring(line("  + key of targets ", alice) + "alice\n"));
  for (const char* each : {"  + threshold of root: 2\n", "  + days of timestamp: 7\n"})
    CHECK_THAT(shown(), ContainsSubstring(each));
  team.Sign("alice");
  team.Sign("bob");
  REQUIRE(team.Sign("online").starts_with("0: "));
  CHECK_THAT(team.Said({"root", "--days", "targets=90"}), ContainsSubstring("4\n"));
  CHECK_THAT(shown(), ContainsSubstring("  ~ days of targets: 180 -> 90\n"));
  CHECK_THAT(shown(), !ContainsSubstring("key of"));
  CHECK_THAT(shown(),
             ContainsSubstring(
                 "begins with 1.root.json, SHA-256 " +
                 Sha256::Of(AsBytes(ReadText(team.repo + "/metadata/1.root.json"))).Hex() + "\n"));
  REQUIRE(team.Said({"abandon"}).starts_with("0: "));

  // A stranger's key in Alice's name.
  fs::rename(team.Path("stranger.pub"), team.Path("keys/alice.pub"));
  REQUIRE(team.Said({"root", "--targets-key", team.Path("bob.pub"), "--targets-key",
                     team.Path("keys/alice.pub")})
              .starts_with("4\n"));
  CHECK_THAT(shown(), ContainsSubstring(line("  + key of targets ", stranger) + "alice\n"));
  CHECK_THAT(shown(), ContainsSubstring(line("  - key of targets ", alice) + "alice\n"));
}

TEST_CASE("a withdrawn release is what the channel's ref leads to no longer") {
  Ceremony team;
  team.Begin();
  const auto publish = [&](const std::string& version) {
    team.small.SetVersion(version);
    const Release release = team.small.Commit().value();
    team.Said({"publish", version}, "alice");
    team.Sign("bob");
    REQUIRE(team.Sign("online").starts_with("0: "));
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
  team.Sign("bob");
  CHECK(team.Sign("online").starts_with("0: "));
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

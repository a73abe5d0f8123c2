// docs/trust.md, "When a key is lost or stolen": what a thief does with the key, the page's block
// as it is written, and what nodes do then.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "images/publish/secret_key.h"
#include "images/tuf_fields.h"
#include "tests/held.h"
#include "tests/images/small_release.h"
#include "tests/node/ask.h"
#include "tests/source/http_server.h"
#include "tests/vm/process.h"
#include "updater/hostctl/exit_code.h"
#include "updater/release/release_target.h"
#include "updater/tuf/json.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using tuf::Json;

constexpr const char* kEverybody =
    "for NAME in root-1 root-2 root-3 alice bob carol online; do"
    "  hostimage keygen --secret $NAME.pem --public $NAME.pub;"
    "done\n";

// Two of three keys sign roots, two of three others sign releases, and one online key signs the
// rest.
constexpr const char* kFirstRoot =
    "hostimage root --repo $REPO --threshold root=2 --threshold targets=2"
    " --root-key root-1.pub --root-key root-2.pub --root-key root-3.pub"
    " --targets-key alice.pub --targets-key bob.pub --targets-key carol.pub"
    " --snapshot-key online.pub --timestamp-key online.pub"
    " --key root-1.pem --key root-2.pem --key alice.pem --key bob.pem --key online.pem\n";

class Team {
 public:
  Team() {
    fs::rename(small_ / "ci.pem", small_ / "release.pem");
    for (const char* keys : {"keys", "root/usr/lib/hostos/keys.d"})
      fs::rename(small_ / keys + "/ci.pub", small_ / keys + "/release.pub");
    Do(kEverybody);
    Do(kFirstRoot);
    Release("1.0.0");
    Publish("1.0.0");
    BeOnDisks();
  }

  const std::string& repo() const { return repo_; }
  void UseRepository(const std::string& repo) { repo_ = repo; }
  std::string operator/(const std::string& name) const { return small_ / name; }
  const Releases& releases() const { return releases_; }

  // Runs a script in the directory of the keys.
  void Do(const std::string& script, const std::string& variables = "") const {
    const std::string shell = std::format(
        "set -euo pipefail; cd '{}'; export PATH='{}':$PATH REPO='{}'; {}\n{}", small_ / "",
        fs::path(HOSTIMAGE).parent_path().string(), repo(), variables, script);
    INFO(script);
    Held(Process::Run({"bash", "-c", shell}, small_ / "log"));
  }
  // Runs the block of the page that has this mark.
  void DoAsWritten(const std::string& name, const std::string& variables = "") const {
    const std::string page = ReadText(HOSTOS_SOURCE_DIR "/docs/trust.md");
    const std::string mark = "<!-- runbook: " + name + " -->\n```\n";
    const size_t at = page.find(mark);
    REQUIRE(at != page.npos);
    const size_t begin = at + mark.size();
    Do(page.substr(begin, page.find("```\n", begin) - begin), variables);
  }

  // Makes new nodes run the release that was committed last.
  void BeOnDisks() { releases_ = Running(repo(), small_ / "keys", commit_); }
  void SetVersion(const std::string& version) { small_.SetVersion(version); }
  // Commits the next release, signed by these keys.
  void Release(const std::string& version, const std::vector<std::string>& keys = {"release.pem"}) {
    SetVersion(version);
    CommitOptions options = small_.Options();
    options.repo = repo_;
    options.timestamp = SystemClock().Now();  // as on the page
    options.keys.clear();
    for (const std::string& key : keys) options.keys.push_back(small_ / key);
    commit_ = Held(small_.Commit(options)).commit;
  }
  void Publish(const std::string& version,
               const std::string& keys = "--key alice.pem --key bob.pem --key online.pem") const {
    Do(std::format("hostimage publish {} --repo $REPO {}", version, keys));
  }

 private:
  SmallRelease small_;
  std::string repo_ = small_ / "repo";
  Releases releases_;
  Digest commit_;
};

std::string Hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += std::format("{:02x}", static_cast<unsigned char>(byte));
  return text;
}

// A mirror that somebody who has stolen keys controls.
class Thief {
 public:
  Thief(const Team& team, const std::vector<std::string>& stolen) {
    fs::copy(team.repo(), repo(), fs::copy_options::recursive);
    for (const std::string& key : stolen)
      for (SecretKey& each : Held(SecretKey::Load(team / (key + ".pem"))))
        keys_.push_back(std::move(each));
    server_.emplace(repo());
  }

  std::string url() const { return server_->url(); }
  Json Read(const std::string& role) const { return Json::parse(ReadText(Newest(role)))["signed"]; }
  // Signs it with the stolen keys, as far as the root knows them.
  std::string Put(const std::string& role, const Json& body) const {
    Json signatures = Json::array();
    const Json keys = Read("root")["keys"];
    for (const auto& [id, key] : keys.items())
      for (const SecretKey& mine : keys_)
        if (Hex(Held(mine.Public()).bytes) == key["keyval"]["public"].get<std::string>())
          signatures.push_back(
              {{"keyid", id}, {"sig", Hex(Held(mine.Sign(tuf::CanonicalJson(body))).bytes)}});
    const std::string version = std::format("{}.", body["version"].get<int64_t>());
    std::string text = Json{{"signatures", signatures}, {"signed", body}}.dump();
    WriteText(
        std::format("{}/metadata/{}{}.json", repo(), role == "timestamp" ? "" : version, role),
        text);
    return text;
  }
  // Publishes targets and the metadata that leads to them, with versions higher by `ahead`.
  void Put(Json targets, int64_t ahead) const {
    Json snapshot = Read("snapshot"), timestamp = Read("timestamp");
    for (Json* body : {&targets, &snapshot, &timestamp})
      (*body)["version"] = (*body)["version"].get<int64_t>() + ahead;
    Put("targets", targets);
    snapshot["meta"]["targets.json"] = {{"version", targets["version"]}};
    Put("snapshot", snapshot);
    timestamp["meta"]["snapshot.json"] = {{"version", snapshot["version"]}};
    Put("timestamp", timestamp);
  }
  // The same, with this index for the channel's newest release.
  void PutIndex(uint64_t index, int64_t ahead) const {
    Json targets = Read("targets");
    for (auto& [path, target] : targets["targets"].items()) {
      const std::string old =
          repo() + "/targets/" + HashedPath(path, target["hashes"]["sha256"].get<std::string>());
      Json release = Json::parse(ReadText(old));
      if (release["version"].get<std::string>() != "1.1.0") continue;
      release["index"] = index;
      const std::string bytes = release.dump();
      target["length"] = bytes.size();
      target["hashes"]["sha256"] = Sha256::Of(AsBytes(bytes)).Hex();
      WriteText(repo() + "/targets/" + HashedPath(path, Sha256::Of(AsBytes(bytes)).Hex()), bytes);
    }
    Put(targets, ahead);
  }

 private:
  std::string repo() const { return directory_ / "repo"; }
  // The file of its newest version.
  std::string Newest(const std::string& role) const {
    if (role == "timestamp") return repo() + "/metadata/timestamp.json";
    for (int version = 1;; version++)
      if (!fs::exists(std::format("{}/metadata/{}.{}.json", repo(), version + 1, role)))
        return std::format("{}/metadata/{}.{}.json", repo(), version, role);
  }
  const TempDir directory_;
  std::vector<SecretKey> keys_;
  std::optional<HttpServer> server_;
};

class Site {
 public:
  explicit Site(const Team& team) : server_(team.repo()), node_(team.releases(), server_.url()) {}

  // The update must succeed, and this version must then run.
  void Takes(const std::string& version) {
    const Said said = Ask(node_, {"update"});
    INFO(said.err);
    REQUIRE(said.code == ExitCode::kStaged);
    REQUIRE(node_.Boot());
    REQUIRE(Ask(node_, {"gate"}).code == ExitCode::kDone);
    CHECK(Json::parse(Ask(node_, {"status", "--json"}).out)["version"].get<std::string>() ==
          version);
  }
  std::string Refuses(ExitCode expected) {
    const Said said = Ask(node_, {"update"});
    INFO(said.err);
    CHECK(said.code == expected);
    return said.err;
  }
  // From now on: where it gets releases from, which root it trusts first, and which keys.
  void Set(const char* key, const std::string& value) {
    Json origin = Json::parse(ReadText(node_ / "origin.json"));
    origin[key] = value;
    WriteText(node_ / "origin.json", origin.dump());
  }
  void GoesTo(const Thief& thief) { Set("url", thief.url()); }
  void ComesBack() { Set("url", server_.url()); }

 private:
  const HttpServer server_;
  const FileNode node_;
};

TEST_CASE("runbook: the online key") {
  Team team;
  Site site(team);
  team.Release("1.1.0");
  // The thief withholds it: nodes hear nothing newer.
  const Thief thief(team, {"online"});
  Json timestamp = thief.Read("timestamp");
  timestamp["version"] = 1'000'000;
  thief.Put("timestamp", timestamp);
  site.GoesTo(thief);
  site.Refuses(ExitCode::kNothingToDo);
  team.Publish("1.1.0");
  site.ComesBack();
  CHECK_THAT(site.Refuses(ExitCode::kNotTrusted), ContainsSubstring("rollback"));

  team.DoAsWritten("online");
  site.Takes("1.1.0");
  // The old key no longer counts.
  const Thief again(team, {"online"});
  again.Put("timestamp", again.Read("timestamp"));
  site.GoesTo(again);
  site.Refuses(ExitCode::kNotTrusted);
}

TEST_CASE("runbook: one key of targets, below their threshold") {
  Team team;
  Site site(team);
  team.Release("1.1.0");
  team.Publish("1.1.0");
  const Thief thief(team, {"bob", "online"});
  thief.PutIndex(5, 1);
  site.GoesTo(thief);
  CHECK_THAT(site.Refuses(ExitCode::kNotTrusted), ContainsSubstring("targets"));

  site.ComesBack();
  team.DoAsWritten("one-of-targets");
  site.Takes("1.1.0");
  // From now on Dave signs, and Bob's key signs nothing.
  team.Release("1.2.0");
  team.Publish("1.2.0", "--key dave.pem --key carol.pem --key online.pem");
  site.Takes("1.2.0");
}

TEST_CASE("runbook: a threshold of targets") {
  Team team;
  Site site(team);
  team.Release("1.1.0");
  team.Publish("1.1.0");
  const Thief thief(team, {"alice", "bob", "online"});
  const int64_t version = thief.Read("targets")["version"].get<int64_t>();
  std::string above = "1";
  SECTION("with an index that no release can have") {
    thief.PutIndex((1ull << 63) - 1, 1);
    site.GoesTo(thief);
    CHECK_THAT(site.Refuses(ExitCode::kNotTrusted), ContainsSubstring("index of the release"));
  }
  SECTION("with the highest index that metadata of the next version vouches for") {
    const uint64_t index = static_cast<uint64_t>(version + 1) * kMaxReleasesAtOnce;
    thief.PutIndex(index, 1);
    site.GoesTo(thief);
    site.Takes("1.1.0");
    above = std::to_string(index + 1);
  }
  SECTION("with the highest version of metadata, and an index that it vouches for") {
    thief.PutIndex(1ull << 50, (1ll << 50) - version);
    site.GoesTo(thief);
    site.Takes("1.1.0");
  }
  site.ComesBack();
  team.Release("1.2.0");
  team.DoAsWritten("targets", "VERSION=1.2.0 ABOVE=" + above);
  site.Takes("1.2.0");
  team.Release("1.3.0");
  team.Publish("1.3.0", "--key dave.pem --key frank.pem --key online-2.pem");
  site.Takes("1.3.0");
}

TEST_CASE("runbook: one key of root, below its threshold") {
  Team team;
  Site site(team);
  const Thief thief(team, {"root-3", "online"});
  Json root = thief.Read("root");
  root["version"] = 2;
  root["roles"]["targets"]["threshold"] = 1;
  thief.Put("root", root);
  site.GoesTo(thief);
  CHECK_THAT(site.Refuses(ExitCode::kNotTrusted), ContainsSubstring("root"));

  site.ComesBack();
  team.DoAsWritten("one-of-root");
  team.Release("1.1.0");
  team.Publish("1.1.0");
  site.Takes("1.1.0");
  // The next root is signed by keys that include the new one.
  team.Do("hostimage renew root --repo $REPO --key root-2.pem --key root-4.pem");
  team.Release("1.2.0");
  team.Publish("1.2.0");
  site.Takes("1.2.0");
}

TEST_CASE("runbook: a threshold of root") {
  Team team;
  const Thief thief(team, {"root-1", "root-2", "online"});
  Json root = thief.Read("root");
  root["version"] = 2;
  root["roles"]["targets"] = root["roles"]["timestamp"];  // to the thief's online key
  thief.Put("root", root);
  thief.Put(thief.Read("targets"), 1);
  Site lost(team);
  lost.GoesTo(thief);
  lost.Refuses(ExitCode::kNothingToDo);  // it follows the thief

  team.DoAsWritten("root");
  team.UseRepository(team.repo() + "-2");
  team.Release("1.1.0");
  team.Publish("1.1.0");
  team.BeOnDisks();
  Site site(team);
  site.GoesTo(thief);
  CHECK_THAT(site.Refuses(ExitCode::kNotTrusted), ContainsSubstring("root"));
  site.ComesBack();
  team.Release("1.2.0");
  team.Publish("1.2.0");
  site.Takes("1.2.0");
}

TEST_CASE("runbook: a key of commits") {
  Team team;
  Site site(team);
  const std::string keys = team / "root/usr/lib/hostos/keys.d";
  team.SetVersion("1.1.0");
  team.DoAsWritten("commit-key", "VERSION=1.1.0 TREE=$PWD/root");
  team.Publish("1.1.0");
  site.Takes("1.1.0");
  site.Set("keys", keys);  // those of the running release
  team.Release("1.2.0", {"release.pem"});
  team.Publish("1.2.0");
  CHECK_THAT(site.Refuses(ExitCode::kNotTrusted), ContainsSubstring("trusted keys"));
  team.Release("1.3.0", {"release-2.pem"});
  team.Publish("1.3.0");
  site.Takes("1.3.0");
}

}  // namespace
}  // namespace hostos

// The attacks that the rules of trust.h are there for, each on a machine that a repository updates.
#include "updater/tuf/trust.h"

#include <openssl/err.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "tests/text_file.h"
#include "tests/tuf/repository.h"

namespace hostos::tuf {
namespace {

// The machine refuses what the repository has, for this reason, and trusts this afterwards.
void CheckRefused(Machine& machine, const std::string& reason, const std::string& trusted,
                  uint64_t now = kNow) {
  const Error error = machine.Refused(now);
  CHECK(error.code == Code::kNotTrusted);
  CHECK(error.message == reason);
  CHECK(machine.Trusted() == trusted);
}

void CheckGood(Machine& machine, const std::string& trusted, uint64_t now = kNow) {
  const Result<Client> client = machine.Refresh(now);
  if (!client) FAIL(client.error().message);
  CHECK(machine.Trusted() == trusted);
}

TEST_CASE("software that the role's keys did not sign is refused, what came before it stays") {
  Repository repository;
  Machine machine(repository);
  CheckGood(machine, kFirst);
  const auto& [role, trusted] = GENERATE(
      table<std::string, std::string>({{"timestamp", kFirst},
                                       {"snapshot", "root 1, snapshot 1, targets 1, timestamp 2"},
                                       {"targets", "root 1, snapshot 2, targets 1, timestamp 2"}}));
  const auto good = repository.signers(role);
  const bool by_nobody = GENERATE(true, false);
  repository.signers(role) = {};
  if (!by_nobody) repository.signers(role).push_back(TestKey().Renamed(good[0].id()));
  repository.Publish({"targets", "snapshot", "timestamp"});
  CheckRefused(machine, role + ": expected good signatures by 1 of 1 keys, found 0", trusted);

  repository.signers(role) = good;
  repository.Publish({"targets", "snapshot", "timestamp"});
  CheckGood(machine, "root 1, snapshot 3, targets 3, timestamp 3");
}

TEST_CASE("metadata changed after it was signed is refused") {
  Repository repository;
  Machine machine(repository);
  std::string& file = repository.metadata.files["1.targets.json"];
  file.replace(file.find("2999"), 4, "2998");
  CheckRefused(machine, "targets: expected good signatures by 1 of 1 keys, found 0",
               "root 1, snapshot 1, timestamp 1");
}

TEST_CASE("the first root is signed by its own keys, or it is never trusted") {
  Repository repository;
  const TempDir directory;
  const std::string unsigned_root = SignedFile(repository["root"], {TestKey()});
  const Result<> done = Client::Init(directory.path(), unsigned_root);
  REQUIRE_FALSE(done);
  CHECK(done.error().code == Code::kNotTrusted);
  CHECK(done.error().message == "root: expected good signatures by 1 of 1 keys, found 0");
  WriteText(directory / "root.json", unsigned_root);
  CHECK_FALSE(Client::Refresh(directory.path(), repository.metadata, kNow));
  CHECK(repository.metadata.fetched.empty());
}

TEST_CASE("one stolen key of a threshold signs nothing") {
  Repository repository;
  const std::string role = GENERATE("root", "timestamp", "snapshot", "targets");
  repository.AddKey(role, TestKey());
  repository.AddKey(role, TestKey());
  repository["root"]["roles"][role]["threshold"] = 2;
  repository.Publish({"root", "targets", "snapshot", "timestamp"});
  Machine machine(repository);
  CheckGood(machine, "root 2, snapshot 2, targets 2, timestamp 2");
  repository.signers(role).resize(1);
  repository.Publish({"root", "targets", "snapshot", "timestamp"});
  const Error error = machine.Refused();
  CHECK(error.code == Code::kNotTrusted);
  CHECK(error.message.ends_with(role + ": expected good signatures by 2 of 3 keys, found 1"));
  CHECK(machine.Version(role) == 2);
}

TEST_CASE("a signature that does not verify takes nothing from those that do") {
  Repository repository;
  Machine machine(repository);
  const TestKey spare, stranger;
  repository.AddKey("timestamp", spare);
  auto& signers = repository.signers("timestamp");
  signers.pop_back();
  signers.insert(signers.begin(), {TestKey().Renamed(spare.id()), stranger});
  repository.Publish({"root", "timestamp"});
  std::string& file = repository.metadata.files["timestamp.json"];
  Json json = Json::parse(file);
  json["signatures"][1]["sig"] = GENERATE("", "no hexadecimal", "00");
  file = json.dump();
  CheckGood(machine, "root 2, snapshot 1, targets 1, timestamp 2");
}

TEST_CASE("a new root is signed by the keys of the one before and by its own") {
  Repository repository;
  Machine machine(repository);
  const TestKey old_key = repository.signers("root")[0];
  repository.Rotate("root");
  SECTION("the new key alone") {
    repository.Publish({"root"});
    CheckRefused(machine,
                 "keys of the root before: root: expected good signatures by 1 of 1 keys, found 0",
                 "root 1");
  }
  SECTION("the old key alone") {
    repository.signers("root") = {old_key};
    repository.Publish({"root"});
    CheckRefused(machine, "its own keys: root: expected good signatures by 1 of 1 keys, found 0",
                 "root 1");
  }
  SECTION("both") {
    repository.signers("root").push_back(old_key);
    repository.Publish({"root"});
    CheckGood(machine, "root 2, snapshot 1, targets 1, timestamp 1");
  }
}

// No key is read from metadata before those who may say so signed it: OpenSSL would complain of it.
TEST_CASE("keys of metadata that the keys before it did not sign are never read") {
  const Json broken = {
      {"keytype", "rsa"},
      {"scheme", "rsassa-pss-sha256"},
      {"keyval", {{"public", "-----BEGIN PUBLIC KEY-----\nno key\n-----END PUBLIC KEY-----\n"}}}};
  Repository repository;
  Machine machine(repository);
  CheckGood(machine, kFirst);
  const std::string role = GENERATE("root", "targets");
  const TestKey stranger;
  if (role == "root") {
    repository[role]["roles"][role]["keyids"].push_back(stranger.id());
  } else {
    repository.Delegate("targets", "other");
  }
  Json& body = repository[role];
  (role == "root" ? body : body["delegations"])["keys"][stranger.id()] = broken;
  repository.signers(role) = {stranger};
  repository.Publish({role.c_str()});
  if (role == "targets") repository.Publish({"snapshot", "timestamp"});
  ERR_clear_error();
  CHECK(machine.Refused().code == Code::kNotTrusted);
  CHECK(ERR_peek_error() == 0);
  CHECK_FALSE(Key(Object::From(broken, "key").value()).Verifies("data", ""));
  CHECK(ERR_peek_error() != 0);
}

TEST_CASE("a threshold that rises counts in the new root, one that falls in the old one") {
  Repository repository;
  const TestKey second;
  repository.AddKey("root", second);
  Json& threshold = repository["root"]["roles"]["root"]["threshold"];
  const bool rises = GENERATE(true, false);
  threshold = rises ? 1 : 2;
  repository.Publish({"root"});
  Machine machine(repository);
  CheckGood(machine, "root 2, snapshot 1, targets 1, timestamp 1");
  threshold = rises ? 2 : 1;
  repository.signers("root") = {second};
  repository.Publish({"root"});
  CheckRefused(machine,
               std::string(rises ? "its own keys" : "keys of the root before") +
                   ": root: expected good signatures by 2 of 2 keys, found 1",
               "root 2, snapshot 1, targets 1, timestamp 1");
}

TEST_CASE("the chain of roots has no gaps") {
  Repository repository;
  Machine machine(repository);
  repository["root"]["version"] = 2;
  repository.Publish({"root"});
  auto& files = repository.metadata.files;
  SECTION("a root that is not there ends the chain, whatever comes after it") {
    CheckGood(machine, kFirst);
  }
  SECTION("a root under another version's name is refused") {
    files["2.root.json"] = files["3.root.json"];
    CheckRefused(machine, "root: version: expected 2, found 3", "root 1");
  }
  SECTION("the same root again is refused") {
    files["2.root.json"] = files["1.root.json"];
    CheckRefused(machine, "root: version: expected 2, found 1", "root 1");
  }
}

TEST_CASE("a key that was rotated out signs nothing any more") {
  Repository repository;
  Machine machine(repository);
  const std::string role = GENERATE("timestamp", "snapshot", "targets");
  const auto stolen = repository.signers(role);
  repository.Rotate(role);
  repository.signers(role) = stolen;
  repository.Publish({"root", "targets", "snapshot", "timestamp"});
  const Error error = machine.Refused();
  CHECK(error.message == role + ": expected good signatures by 1 of 1 keys, found 0");
  CHECK(machine.Version(role) == 0);
}

TEST_CASE(
    "a release that brings an older root does not bring back the keys that were rotated out") {
  Repository repository;
  Machine machine(repository);
  const std::string brought = repository.root();
  const auto stolen = repository.signers("timestamp");
  repository.Rotate("timestamp");
  repository.Publish({"root", "timestamp"});
  CheckGood(machine, "root 2, snapshot 1, targets 1, timestamp 2");
  REQUIRE(Client::Adopt(machine.metadata.path(), brought));
  repository.metadata.files.erase("2.root.json");
  repository.signers("timestamp") = stolen;
  repository.Publish({"timestamp"});
  CheckRefused(machine, "timestamp: expected good signatures by 1 of 1 keys, found 0",
               "root 2, snapshot 1, targets 1, timestamp 2");
}

TEST_CASE("one key under several ids counts once") {
  Repository repository;
  Machine machine(repository);
  const TestKey key = repository.signers("snapshot")[0];
  repository.AddKey("snapshot", key.Renamed("another"));
  repository.AddKey("snapshot", key.Renamed("a third"));
  repository["root"]["roles"]["snapshot"]["threshold"] = 2;
  repository.Publish({"root", "snapshot", "timestamp"});
  CheckRefused(machine, "snapshot: expected good signatures by 2 of 3 keys, found 1",
               "root 2, timestamp 2");
}

TEST_CASE("a key id is only a name") {
  Repository repository;
  Machine machine(repository);
  repository.Rotate("snapshot");
  repository.AddKey("snapshot", TestKey().Renamed("no hash of anything"));
  repository.signers("snapshot").erase(repository.signers("snapshot").begin());
  repository.Publish({"root", "snapshot", "timestamp"});
  CheckGood(machine, "root 2, snapshot 2, targets 1, timestamp 2");
}

TEST_CASE("keys of unknown kinds are passed over") {
  Repository repository;
  Machine machine(repository);
  Json& root = repository["root"];
  root["keys"]["new"] = {{"keytype", "ml-dsa"}, {"scheme", "ml-dsa-65"}, {"keyval", {{"x", "y"}}}};
  root["roles"]["timestamp"]["keyids"].push_back("new");
  repository.Publish({"root", "timestamp"});
  CheckGood(machine, "root 2, snapshot 1, targets 1, timestamp 2");
  root["roles"]["timestamp"]["threshold"] = 2;
  repository.Publish({"root"});
  CheckRefused(machine, "timestamp: expected good signatures by 2 of 2 keys, found 1",
               "root 3, snapshot 1, targets 1, timestamp 2");
}

TEST_CASE("roles signed by ECDSA and RSA keys are trusted like those by ed25519") {
  Repository repository;
  Machine machine(repository);
  repository.AddKey("root", TestKey(TestKey::Kind::kRsa));
  repository.AddKey("root", TestKey(TestKey::Kind::kEcdsa));
  repository["root"]["roles"]["root"]["threshold"] = 3;
  repository.Publish({"root"});
  CheckGood(machine, "root 2, snapshot 1, targets 1, timestamp 1");
}

// The file is securesystemslib 0.26's, with a key of each kind and a threshold of three: what our
// own repository signs would be trusted even if we had the canonical form wrong.
TEST_CASE("a root written and signed by securesystemslib is trusted") {
  std::string file = ReadText(HOSTOS_SOURCE_DIR "/tests/tuf/securesystemslib.json");
  CHECK(TrustFirstRoot(file));
  file.replace(file.find("2999"), 4, "2998");
  const Result<Root> changed = TrustFirstRoot(file);
  REQUIRE_FALSE(changed);
  CHECK(changed.error().message == "root: expected good signatures by 3 of 3 keys, found 0");
}

TEST_CASE("unknown fields are signed like all the others") {
  Repository repository;
  Machine machine(repository);
  repository["root"]["x"] = {{"y", Json::array({1, "z", nullptr})}};
  repository["root"]["roles"]["root"]["x"] = "y";
  repository.Publish({"root"});
  std::string& file = repository.metadata.files["2.root.json"];
  const std::string good = file;
  file.replace(file.find("\"z\""), 3, "\"q\"");
  CHECK(machine.Refused().code == Code::kNotTrusted);
  file = good;
  CheckGood(machine, "root 2, snapshot 1, targets 1, timestamp 1");
}

TEST_CASE("an older timestamp is refused") {
  Repository repository;
  Machine machine(repository);
  const std::string old = repository.metadata.files["timestamp.json"];
  repository.Publish({"timestamp"});
  CheckGood(machine, "root 1, snapshot 1, targets 1, timestamp 2");
  repository.metadata.files["timestamp.json"] = old;
  CheckRefused(machine, "timestamp: rollback: expected version 2 or later, found 1",
               "root 1, snapshot 1, targets 1, timestamp 2");
}

TEST_CASE("a newer timestamp with an older snapshot is refused, hashes or none") {
  Repository repository;
  repository.with_hashes = GENERATE(true, false);
  Machine machine(repository);
  repository.Publish({"snapshot", "timestamp"});
  CheckGood(machine, "root 1, snapshot 2, targets 1, timestamp 2");
  repository["snapshot"]["version"] = 0;
  repository.Publish({"snapshot", "timestamp"});
  CheckRefused(machine, "timestamp: snapshot.json: rollback: expected version 2 or later, found 1",
               "root 1, snapshot 2, targets 1, timestamp 2");
}

TEST_CASE("a newer snapshot with older targets is refused, hashes or none") {
  Repository repository;
  repository.with_hashes = GENERATE(true, false);
  Machine machine(repository);
  repository.Publish({"targets", "snapshot", "timestamp"});
  CheckGood(machine, "root 1, snapshot 2, targets 2, timestamp 2");
  repository["targets"]["version"] = 0;
  repository.Publish({"targets", "snapshot", "timestamp"});
  CheckRefused(machine, "snapshot: targets.json: rollback: expected version 2 or later, found 1",
               "root 1, snapshot 2, targets 2, timestamp 3");
}

TEST_CASE("a role that a newer snapshot lists older, or no more, is refused") {
  Repository repository;
  Machine machine(repository);
  repository.Delegate("targets", "dele/gated");
  repository.Publish({"dele/gated", "dele/gated", "targets", "snapshot", "timestamp"});
  CheckGood(machine, "root 1, snapshot 2, targets 2, timestamp 2");
  std::string reason;
  SECTION("older") {
    repository["dele/gated"]["version"] = 0;
    repository.Publish({"dele/gated", "snapshot", "timestamp"});
    reason = "snapshot: dele%2Fgated.json: rollback: expected version 2 or later, found 1";
  }
  SECTION("no more") {
    repository["snapshot"]["meta"].erase("dele/gated.json");
    repository.Publish({"snapshot", "timestamp"});
    reason = "snapshot: rollback: expected dele%2Fgated.json as before, found it gone";
  }
  CheckRefused(machine, reason, "root 1, snapshot 2, targets 2, timestamp 3");
}

TEST_CASE("a timestamp of the same version changes nothing") {
  Repository repository;
  Machine machine(repository);
  CheckGood(machine, kFirst);
  const std::string kept = ReadText(machine.metadata / "timestamp.json");
  repository["timestamp"]["meta"]["snapshot.json"]["version"] = 100;
  repository.Replace("timestamp");
  CheckGood(machine, kFirst);
  CHECK(ReadText(machine.metadata / "timestamp.json") == kept);
  CHECK(repository.metadata.fetched.back() == "timestamp.json");

  SECTION("not even when nobody signed it: that is refused") {
    repository.signers("timestamp").clear();
    repository.Replace("timestamp");
    CheckRefused(machine, "timestamp: expected good signatures by 1 of 1 keys, found 0", kFirst);
  }
  SECTION("nor how long the one that is kept is good for") {
    const uint64_t late = 32'472'144'000;  // 2999-01-01, when all expires
    repository["root"]["expires"] = repository["timestamp"]["expires"] = "2999-06-01T00:00:00Z";
    repository.Publish({"root"});
    repository.Replace("timestamp");
    CheckRefused(machine,
                 "timestamp: version 1 expired at 2999-01-01T00:00:00Z, it is 2999-01-01T00:00:00Z "
                 "now",
                 "root 2, snapshot 1, targets 1, timestamp 1", late);
  }
}

TEST_CASE("a repository that is frozen is refused once its metadata expires") {
  Repository repository;
  Machine machine(repository);
  CheckGood(machine, kFirst);
  const auto& [role, trusted] = GENERATE(table<std::string, std::string>(
      {{"root", "root 2, snapshot 1, targets 1, timestamp 1"},  // a newer one may follow it
       {"timestamp", "root 2, snapshot 1, targets 1, timestamp 1"},
       {"snapshot", "root 2, snapshot 1, targets 1, timestamp 2"},
       {"targets", "root 2, snapshot 2, targets 1, timestamp 2"}}));
  repository[role]["expires"] = kYesterday;
  repository.Publish({"root", "targets", "snapshot", "timestamp"});
  CheckRefused(machine,
               role + ": version 2 expired at 2025-12-31T00:00:00Z, it is 2026-01-01T00:00:00Z now",
               trusted);
  if (role == "root") CHECK(repository.metadata.fetched.back() == "3.root.json");

  repository[role]["expires"] = kFarAway;
  repository.Publish({"root", "targets", "snapshot", "timestamp"});
  CheckGood(machine, "root 3, snapshot 3, targets 3, timestamp 3");
}

TEST_CASE("metadata is good until the second before it expires") {
  Repository repository;
  repository["timestamp"]["expires"] = "2026-01-01T00:00:01Z";
  repository.Publish({"timestamp"});
  Machine machine(repository);
  CHECK(machine.Refresh(kNow));
  CHECK_FALSE(machine.Refresh(kNow + 1));
}

TEST_CASE("kept metadata that has expired still guards against rollback, and is replaced") {
  Repository repository;
  for (const char* role : {"timestamp", "snapshot", "targets"}) {
    repository[role]["expires"] = "2026-01-02T00:00:00Z";
  }
  repository.Publish({"targets", "snapshot", "timestamp"});
  Machine machine(repository);
  CheckGood(machine, "root 1, snapshot 2, targets 2, timestamp 2");
  const uint64_t later = kNow + 30 * 86400;
  for (const char* role : {"timestamp", "snapshot", "targets"})
    repository[role]["expires"] = kFarAway;

  SECTION("an older timestamp") {
    repository["timestamp"]["version"] = 0;
    repository.Publish({"timestamp"});
    CheckRefused(machine, "timestamp: rollback: expected version 2 or later, found 1",
                 "root 1, snapshot 2, targets 2, timestamp 2", later);
  }
  SECTION("older targets") {
    repository["targets"]["version"] = 0;
    repository.Publish({"targets", "snapshot", "timestamp"});
    CheckRefused(machine, "snapshot: targets.json: rollback: expected version 2 or later, found 1",
                 "root 1, snapshot 2, targets 2, timestamp 3", later);
  }
  SECTION("newer metadata") {
    repository.Publish({"targets", "snapshot", "timestamp"});
    CheckGood(machine, "root 1, snapshot 3, targets 3, timestamp 3", later);
  }
}

TEST_CASE("metadata of two states of the repository does not mix") {
  Repository repository;
  repository.with_hashes = GENERATE(true, false);
  Machine machine(repository);
  repository.Publish({"targets", "snapshot", "timestamp"});
  auto& files = repository.metadata.files;
  SECTION("another snapshot than the timestamp says") {
    files["2.snapshot.json"] = files["1.snapshot.json"];
    const Error error = machine.Refused();
    CHECK(error.message.starts_with(repository.with_hashes
                                        ? "snapshot: length: expected "
                                        : "snapshot: version: expected 2, found 1"));
    CHECK(machine.Trusted() == "root 1, timestamp 2");
  }
  SECTION("other targets than the snapshot says") {
    files["2.targets.json"] = files["1.targets.json"];
    const Error error = machine.Refused();
    CHECK(error.message.starts_with(repository.with_hashes
                                        ? "targets: sha256: expected "
                                        : "targets: version: expected 2, found 1"));
    CHECK(machine.Trusted() == "root 1, snapshot 2, timestamp 2");
  }
}

TEST_CASE("the same version with other bytes than the signed ones is refused") {
  Repository repository;
  repository.with_hashes = true;
  Machine machine(repository);
  repository.Publish({"targets", "snapshot", "timestamp"});
  const std::string role = GENERATE("snapshot", "targets");
  std::string& file = repository.metadata.files["2." + role + ".json"];
  const std::string good = file;
  SECTION("a length") {
    file += "\n";
    CHECK(machine.Refused().code != Code::kNotTrusted);  // the cap on what is fetched is the length
    repository.metadata.ignores_cap = true;
    CHECK(machine.Refused().message ==
          std::format("{}: length: expected {}, found {}", role, good.size(), file.size()));
  }
  SECTION("a hash") {
    file.replace(file.find('\n'), 1, " ");
    CHECK(machine.Refused().message.starts_with(role + ": sha256: expected "));
  }
  CHECK(machine.Version(role) == 0);
  file = good;
  CheckGood(machine, "root 1, snapshot 2, targets 2, timestamp 2");
}

TEST_CASE("metadata of another repository is refused") {
  Repository repository, other;
  Machine machine(repository);
  const std::string role = GENERATE("timestamp", "snapshot", "targets");
  const std::string name = role == "timestamp" ? "timestamp.json" : "1." + role + ".json";
  repository.metadata.files[name] = other.metadata.files[name];
  CHECK(machine.Refused().message == role + ": expected good signatures by 1 of 1 keys, found 0");
  other.Publish({"root"});
  repository.metadata.files["2.root.json"] = other.metadata.files["2.root.json"];
  CheckRefused(machine,
               "keys of the root before: root: expected good signatures by 1 of 1 keys, found 0",
               machine.Trusted());
}

TEST_CASE("metadata of one role does not pass for another's, even with the right keys") {
  Repository repository;
  Machine machine(repository);
  repository.signers("snapshot").push_back(repository.signers("timestamp")[0]);
  repository["snapshot"]["meta"]["snapshot.json"] = {{"version", 1}};
  repository.Publish({"snapshot"});
  repository.metadata.files["timestamp.json"] = repository.metadata.files["2.snapshot.json"];
  CheckRefused(machine, "timestamp.signed._type: expected 'timestamp', found 'snapshot'", "root 1");
}

TEST_CASE("a snapshot that says nothing of the targets is refused") {
  Repository repository;
  Machine machine(repository);
  repository["snapshot"]["meta"] = Json::object();
  repository.Publish({"snapshot", "timestamp"});
  CheckRefused(machine, "snapshot: expected the version of targets.json, found none",
               "root 1, snapshot 2, timestamp 2");
}

TEST_CASE("a repository forwarded by a thief recovers with new keys") {
  Repository repository;
  Machine machine(repository);
  const std::string role = GENERATE("timestamp", "snapshot", "targets");
  repository[role]["version"] = 1'000'000;
  repository.Publish({"targets", "snapshot", "timestamp"});
  CHECK(machine.Refresh());
  CHECK(machine.Version(role) == 1'000'001);

  repository[role]["version"] = 1;
  repository.Publish({"targets", "snapshot", "timestamp"});
  CHECK(machine.Refused().code == Code::kNotTrusted);
  // New keys for the snapshot take back its version and those it lists, though the machine holds
  // the timestamp that the forwarded snapshot was in.
  repository.Rotate(role == "timestamp" ? "timestamp" : "snapshot");
  repository.Publish({"root", "targets", "snapshot", "timestamp"});
  CHECK(machine.Refresh());
  CHECK(machine.Version(role) == 3);
}

TEST_CASE("losing power in a recovery does not lose the recovery") {
  Repository repository;
  Machine machine(repository);
  repository["snapshot"]["version"] = 1'000'000;
  repository.Publish({"snapshot", "timestamp"});
  CHECK(machine.Refresh());
  repository.Rotate("snapshot");
  repository["snapshot"]["version"] = 1;
  repository.Publish({"root", "snapshot", "timestamp"});
  repository.metadata.fail_after = GENERATE(1, 2, 3);  // after the root, the chain, the timestamp
  CHECK(machine.Refused().code == Code::kNetwork);
  repository.metadata.fail_after = -1;
  CheckGood(machine, "root 2, snapshot 2, targets 1, timestamp 3");
}

}  // namespace
}  // namespace hostos::tuf

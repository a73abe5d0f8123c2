// The attacks on signatures and keys that the rules of trust.h are there for, each on a machine
// that a repository updates.
#include "updater/tuf/trust.h"

#include <openssl/err.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "tests/text_file.h"
#include "tests/tuf/trust_checks.h"

namespace hostos::tuf {
namespace {

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

}  // namespace

}  // namespace hostos::tuf

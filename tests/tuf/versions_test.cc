// The attacks on versions and time that the rules of trust.h are there for: what is older, expired
// or of another state of the repository.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "tests/text_file.h"
#include "tests/tuf/trust_checks.h"

namespace hostos::tuf {
namespace {

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

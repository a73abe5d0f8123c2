#include "updater/tuf/client.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <filesystem>

#include "tests/text_file.h"
#include "tests/tuf/repository.h"

namespace hostos::tuf {
namespace {

using Paths = std::vector<std::string>;

TEST_CASE("a first refresh fetches the next root, timestamp, snapshot and targets") {
  Repository repository;
  Machine machine(repository);
  CHECK(repository.metadata.fetched.empty());  // Init asks nobody
  REQUIRE(machine.Refresh());
  CHECK(repository.metadata.fetched ==
        Paths{"2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"});
  CHECK(machine.Trusted() == kFirst);
}

TEST_CASE("a refresh fetches what changed and nothing else") {
  Repository repository;
  repository.with_hashes = GENERATE(true, false);
  repository.Publish({"targets", "snapshot", "timestamp"});
  Machine machine(repository);
  REQUIRE(machine.Refresh());
  REQUIRE(machine.Refresh());
  CHECK(repository.metadata.fetched == Paths{"2.root.json", "timestamp.json"});
  repository.Publish({"snapshot", "timestamp"});
  REQUIRE(machine.Refresh());
  CHECK(repository.metadata.fetched == Paths{"2.root.json", "timestamp.json", "3.snapshot.json"});
}

TEST_CASE("what is kept is what was received, byte for byte") {
  Repository repository;
  Machine machine(repository);
  repository.Publish({"root"});
  for (auto& [name, file] : repository.metadata.files) file += " \n\t";
  REQUIRE(machine.Refresh());
  for (const std::string role : {"root", "timestamp", "snapshot", "targets"}) {
    const std::string version = role == "root" ? "2." : role == "timestamp" ? "" : "1.";
    CHECK(ReadText(machine.metadata / (role + ".json")) ==
          repository.metadata.files[version + role + ".json"]);
  }
}

TEST_CASE("without consistent snapshots only roots have versions in their names") {
  Repository repository;
  repository["root"]["consistent_snapshot"] = false;
  repository.Publish({"root", "targets", "snapshot", "timestamp"});
  Machine machine(repository);
  REQUIRE(machine.Refresh());
  CHECK(repository.metadata.fetched ==
        Paths{"2.root.json", "3.root.json", "timestamp.json", "snapshot.json", "targets.json"});
  CHECK(machine.Trusted() == "root 2, snapshot 2, targets 2, timestamp 2");
}

TEST_CASE("roots are followed one by one, at most 256 in a run") {
  Repository repository;
  Machine machine(repository);
  for (int i = 0; i < 258; ++i) repository.Publish({"root"});
  REQUIRE(machine.Refresh());
  CHECK(machine.Version("root") == 257);
  REQUIRE(machine.Refresh());
  CHECK(machine.Version("root") == 259);
}

TEST_CASE("roots are followed while the rest of the repository has expired") {
  Repository repository;
  for (const char* role : {"root", "timestamp", "snapshot", "targets"}) {
    repository[role]["expires"] = kYesterday;
  }
  repository.Publish({"root", "targets", "snapshot", "timestamp"});
  Machine machine(repository);
  repository["root"]["expires"] = kFarAway;
  repository.Publish({"root"});
  CHECK(machine.Refused().message.starts_with("timestamp: version 2 expired"));
  CHECK(machine.Trusted() == "root 3");
}

TEST_CASE("the sizes of files are capped before they are fetched, and again before they are read") {
  Repository repository;
  Machine machine(repository);
  const auto& [file, cap] = GENERATE(table<std::string, size_t>({{"2.root.json", 512'000},
                                                                 {"timestamp.json", 16'384},
                                                                 {"1.snapshot.json", 2'000'000},
                                                                 {"1.targets.json", 5'000'000}}));
  if (file == "2.root.json") repository.Publish({"root"});
  std::string& bytes = repository.metadata.files[file];
  bytes.resize(cap + 1, ' ');
  CHECK(machine.Refused().code == Code::kNetwork);
  repository.metadata.ignores_cap = true;
  const Error error = machine.Refused();
  CHECK(error.code == Code::kNotTrusted);
  CHECK(
      error.message.ends_with(std::format(": expected at most {} bytes, found {}", cap, cap + 1)));
  bytes.resize(cap);
  CHECK(machine.Refresh());
}

TEST_CASE("a file that the repository should have, and has not, is a network error") {
  Repository repository;
  Machine machine(repository);
  const auto& [file, trusted] = GENERATE(
      table<std::string, std::string>({{"timestamp.json", "root 1"},
                                       {"1.snapshot.json", "root 1, timestamp 1"},
                                       {"1.targets.json", "root 1, snapshot 1, timestamp 1"}}));
  repository.metadata.files.erase(file);
  const Error error = machine.Refused();
  CHECK(error.code == Code::kNetwork);
  CHECK(error.message ==
        std::format("expected {} of the repository: {}: HTTP status 404", file, file));
  CHECK(machine.Trusted() == trusted);
}

TEST_CASE("a network that fails at the next root ends the run") {
  Repository repository;
  Machine machine(repository);
  repository.metadata.fail_after = 0;
  const Error error = machine.Refused();
  CHECK(error.code == Code::kNetwork);
  CHECK(error.message == "root: 2.root.json: the network is gone");
}

TEST_CASE("an interruption anywhere leaves a set that the next run goes on from") {
  Repository repository;
  Machine machine(repository);
  REQUIRE(machine.Refresh());
  repository.Publish({"root", "root", "targets", "snapshot", "timestamp"});
  const int answered = GENERATE(range(0, 6));
  repository.metadata.fail_after = answered;
  CHECK(machine.Refused().code == Code::kNetwork);
  CHECK(machine.Version("root") == 1 + std::min(answered, 2));
  CHECK(machine.Version("timestamp") == (answered > 3 ? 2 : 1));
  CHECK(machine.Version("snapshot") == (answered > 4 ? 2 : 1));
  CHECK(machine.Version("targets") == 1);
  repository.metadata.fail_after = -1;
  REQUIRE(machine.Refresh());
  CHECK(machine.Trusted() == "root 3, snapshot 2, targets 2, timestamp 2");
}

TEST_CASE("kept metadata is verified again in every run") {
  Repository repository;
  Machine machine(repository);
  REQUIRE(machine.Refresh());
  const std::string role = GENERATE("timestamp", "snapshot", "targets");
  const std::string path = machine.metadata / (role + ".json");
  const std::string good = ReadText(path);
  WriteText(path, GENERATE("", "{}", "no JSON", R"({"signatures":[],"signed":{}})"));
  REQUIRE(machine.Refresh());
  CHECK(ReadText(path) == good);
}

TEST_CASE("a root that is gone, unreadable or changed is an error, and nobody is asked") {
  Repository repository;
  Machine machine(repository);
  const std::string path = machine.metadata / "root.json";
  std::string changed = ReadText(path);
  changed.replace(changed.find("2999"), 4, "2998");
  WriteText(path, changed);
  CHECK(machine.Refused().message ==
        path + ": root: expected good signatures by 1 of 1 keys, found 0");
  WriteText(path, "");
  CHECK(machine.Refused().message == path + ": root: expected JSON, found something else");
  std::filesystem::remove(path);
  CHECK(machine.Refused().code == Code::kNotFound);
  CHECK(repository.metadata.fetched.empty());
}

TEST_CASE("a kept file that cannot be read is an error, not an absent file") {
  Repository repository;
  Machine machine(repository);
  const std::string role = GENERATE("timestamp", "snapshot", "targets");
  std::filesystem::create_directory(machine.metadata / (role + ".json"));
  const Error error = machine.Refused();
  CHECK(error.message.contains(role + ".json"));
  CHECK(error.message.contains("Is a directory"));
}

TEST_CASE("for a rescue, what the disk does not give is dropped by name, and the rest stays") {
  Repository repository;
  Machine machine(repository);
  REQUIRE(machine.Refresh());
  CHECK(Client::DropUnreadable(machine.metadata.path()).empty());
  CHECK(machine.Trusted() == kFirst);
  const std::string role = GENERATE("root", "timestamp", "snapshot", "targets");
  const std::string file = machine.metadata / (role + ".json");
  std::filesystem::remove(file);
  std::filesystem::create_directories(file + "/inside");
  const std::vector<std::string> dropped = Client::DropUnreadable(machine.metadata.path());
  REQUIRE(dropped.size() == 1);
  CHECK(dropped[0].starts_with(file + ": "));
  REQUIRE(Client::Adopt(machine.metadata.path(), repository.root()));
  CHECK(machine.Refresh());
  CHECK(machine.Trusted() == kFirst);
}

TEST_CASE("for a rescue, what has the directory's name and is none makes way") {
  const TempDir dir;
  WriteText(dir / "tuf", "a file");
  CHECK(Client::DropUnreadable(dir / "tuf").size() == 1);
  CHECK_FALSE(std::filesystem::exists(dir / "tuf"));
  CHECK(Client::DropUnreadable(dir / "tuf").empty());
}

TEST_CASE("a kept root that is of another line than the one that is given makes way for it") {
  Repository repository, other;
  Machine machine(repository);
  std::string kept;
  SECTION("of another repository") {
    kept = other.root();
  }
  SECTION("of another repository, and newer") {
    other.Publish({"root"});
    kept = other.metadata.files.at("2.root.json");
  }
  SECTION("of a version of TUF that is not known") {
    repository["root"]["spec_version"] = "2.0";
    repository.Publish({"root"});
    kept = repository.metadata.files.at("2.root.json");
    repository.metadata.files.erase("2.root.json");
  }
  WriteText(machine.metadata / "root.json", kept);
  REQUIRE(Client::Adopt(machine.metadata.path(), repository.root()));
  CHECK(ReadText(machine.metadata / "root.json") == repository.root());
  CHECK(machine.Refresh());
}

TEST_CASE("a kept root that follows the one that is given stays") {
  Repository repository;
  Machine machine(repository);
  const int versions = GENERATE(0, 1, 2);
  for (int i = 0; i < versions; i++) repository.Publish({"root"});
  REQUIRE(machine.Refresh());
  REQUIRE(Client::Adopt(machine.metadata.path(), repository.root()));
  CHECK(machine.Version("root") == 1 + versions);
}

TEST_CASE("a disk that takes no file is an error, and what was kept stays") {
  Repository repository;
  Machine machine(repository);
  REQUIRE(machine.Refresh());
  repository.Publish({"timestamp"});
  std::filesystem::create_directory(machine.metadata / "timestamp.json.tmp");
  CHECK(machine.Refused().message.contains("timestamp.json.tmp"));
  CHECK(machine.Version("timestamp") == 1);
}

}  // namespace
}  // namespace hostos::tuf

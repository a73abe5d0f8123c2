// The people who publish releases with the keys of a TUF repository.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <initializer_list>
#include <string>
#include <vector>

#include "images/publish/secret_key.h"
#include "images/tuf_repository.h"
#include "tests/temp_dir.h"
#include "tests/text_file.h"
#include "updater/base/atomic_file.h"
#include "updater/tuf/client.h"

namespace hostos {

inline constexpr uint64_t kStart = 1'800'000'000, kDay = 86'400;

class FetchedDirectory : public tuf::Fetcher {
 public:
  explicit FetchedDirectory(std::string path) : path_(std::move(path)) {}
  Result<std::string> Fetch(const std::string& path, size_t cap) override {
    return ReadFile(path_ + "/" + path, cap);
  }

 private:
  std::string path_;
};

inline std::vector<SecretKey> NewKey() {
  return {SecretKey::Generate(Algorithm::kEd25519).value()};
}

inline std::vector<SecretKey> All(std::initializer_list<std::vector<SecretKey>> keys) {
  std::vector<SecretKey> all;
  for (const std::vector<SecretKey>& key : keys) all.insert(all.end(), key.begin(), key.end());
  return all;
}

inline std::vector<std::string> RolesOf(const std::vector<StagedRole>& staged) {
  std::vector<std::string> roles;
  for (const StagedRole& each : staged) roles.push_back(each.role);
  return roles;
}

inline RoleChange By(std::initializer_list<std::vector<SecretKey>> keys, uint32_t threshold = 1) {
  RoleChange change{.keys = {}, .threshold = threshold, .days = {}};
  for (const std::vector<SecretKey>& key : keys) change.keys.push_back(key.at(0).Public().value());
  return change;
}

inline ReleaseTarget ReleaseNamed(const std::string& version,
                                  const std::string& channel = "stable") {
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
    FetchedDirectory metadata(path + "/metadata"), targets_files(path + "/targets");
    tuf::Client client = TRY(tuf::Client::Refresh(directory / "node", metadata, now));
    const tuf::TargetFile file = TRY(client.Find(target));
    const std::string bytes = TRY(client.Fetch(file, targets_files));
    return ParseReleaseTarget(bytes);
  }
};

}  // namespace hostos

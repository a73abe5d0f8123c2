// A TUF repository in memory that signs whatever a test has it sign, and a machine that trusts it.
#pragma once

#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/temp_dir.h"
#include "updater/tuf/client.h"

namespace hostos::tuf {

inline constexpr uint64_t kNow = 1'767'225'600;  // 2026-01-01T00:00:00Z
inline constexpr const char* kFarAway = "2999-01-01T00:00:00Z";
inline constexpr const char* kYesterday = "2025-12-31T00:00:00Z";
// What a machine trusts after its first refresh, see Machine::Trusted().
inline constexpr const char* kFirst = "root 1, snapshot 1, targets 1, timestamp 1";

// A fresh key pair. Copies are the same key.
class TestKey {
 public:
  enum class Kind { kEd25519, kEcdsa, kRsa, kRsaSha384, kRsaSha512 };
  explicit TestKey(Kind kind = Kind::kEd25519);

  const std::string& id() const { return id_; }
  Json Public() const;
  std::string Sign(std::string_view data) const;  // raw bytes
  TestKey Renamed(std::string id) const;          // the same key under another id

 private:
  Kind kind_;
  std::shared_ptr<evp_pkey_st> key_;
  std::string id_;
};

// The bytes of a metadata file.
std::string SignedFile(const Json& body, const std::vector<TestKey>& keys);

// What a server has, and what was asked of it.
class Files : public Fetcher {
 public:
  Result<std::string> Fetch(const std::string& path, size_t cap) override;

  std::map<std::string, std::string> files;
  std::vector<std::string> fetched;
  int fail_after = -1;       // requests that are answered before the network is gone; -1: all
  bool ignores_cap = false;  // a fetcher that does not do what it should
};

class Repository {
 public:
  // Root, timestamp, snapshot and targets, version 1, each with a key of its own.
  Repository();

  // What the next version of a role will say ("signed"), for a test to change.
  Json& operator[](const std::string& role) { return bodies_[role]; }
  // Who signs the next version of a role.
  std::vector<TestKey>& signers(const std::string& role) { return signers_[role]; }

  // Signs the next version of each role, serves it, and notes it in the snapshot (the snapshot in
  // the timestamp), with length and hash when `with_hashes`.
  void Publish(std::initializer_list<const char*> roles);
  // The same without a new version number.
  void Replace(const std::string& role);

  // Adds a key to a top-level role, of root or of the delegator's delegations.
  void AddKey(const std::string& role, const TestKey& key, const std::string& delegator = "root");
  // New keys in place of all the role's.
  void Rotate(const std::string& role);

  void AddTarget(const std::string& role, const std::string& path, const std::string& content);
  // A role with a key of its own, after those that `from` delegated to before.
  void Delegate(const std::string& from, const std::string& name, const Json& paths = {"*"},
                bool terminating = false);

  std::string root() const { return metadata.files.at("1.root.json"); }

  Files metadata, targets;
  bool with_hashes = false;

 private:
  void Serve(const std::string& role);

  std::map<std::string, Json> bodies_;
  std::map<std::string, std::vector<TestKey>> signers_;
};

// A machine with a metadata directory and one for targets.
class Machine {
 public:
  explicit Machine(Repository& repository);

  Result<Client> Refresh(uint64_t now = kNow);
  // The error of a refresh that has to fail.
  Error Refused(uint64_t now = kNow);
  // Refresh, find and download: the content.
  Result<std::string> Get(const std::string& path, uint64_t now = kNow);

  // The version that the directory holds; 0: none.
  int64_t Version(const std::string& role) const;
  // "root 1, snapshot 1, ...": everything in the metadata directory.
  std::string Trusted() const;
  std::vector<std::string> Downloaded() const;  // file names

  TempDir metadata, targets;

 private:
  Repository* repository_;
};

}  // namespace hostos::tuf

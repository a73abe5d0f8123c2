// The four kinds of TUF metadata (specification 1.0, section 4), read from their JSON. Reading
// checks only the form: types, ranges, required fields. trust.h decides whom to believe. Unknown
// fields are allowed everywhere, and are signed like all others.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/result.h"
#include "updater/tuf/delegation.h"
#include "updater/tuf/key.h"

namespace hostos::tuf {

// Larger files are refused unread (bytes).
inline constexpr size_t kRootCap = 512'000;
inline constexpr size_t kTimestampCap = 16'384;
inline constexpr size_t kSnapshotCap = 2'000'000;
inline constexpr size_t kTargetsCap = 5'000'000;

struct Signature {
  std::string keyid;
  std::string bytes;  // empty: not hexadecimal, verifies nothing
};

// What every kind of metadata has.
struct Header {
  std::string role;  // its name in messages
  int64_t version = 0;
  std::string expires;  // "2030-01-02T03:04:05Z": can be compared as text
  std::string payload;  // the canonical JSON that the signatures cover
  std::vector<Signature> signatures;
};

// What a machine trusts for a role, and until when.
struct TrustedRole {
  std::string role;  // one of the four
  int64_t version = 0;
  uint64_t expires = 0;  // seconds since the epoch
};
TrustedRole Summary(const Header& metadata);

// What signed metadata says about the bytes of another file.
struct FileInfo {
  std::optional<uint64_t> length;
  std::map<std::string, std::string> hashes;  // algorithm: lower-case hexadecimal digest
};

// Checks that `bytes` have the signed length and every signed hash of a known algorithm (sha256,
// sha512). Hashes of unknown algorithms alone prove nothing.
Result<> CheckFile(const FileInfo& info, std::string_view bytes);

struct MetaFile : FileInfo {
  int64_t version = 0;
};

struct TargetFile : FileInfo {  // always has a length and at least one hash
  std::string path;
};

struct Root : Header {
  bool consistent_snapshot = false;
  Role root, timestamp, snapshot, targets;

  static Result<Root> Parse(std::string_view bytes);
};

struct Timestamp : Header {
  MetaFile snapshot;

  static Result<Timestamp> Parse(std::string_view bytes);
};

struct Snapshot : Header {
  std::map<std::string, MetaFile> meta;  // by file name: "targets.json"

  static Result<Snapshot> Parse(std::string_view bytes);
  // What it says about the metadata of role `name`; kNotTrusted if nothing.
  Result<MetaFile> Find(const std::string& name) const;
};

struct Targets : Header {
  std::map<std::string, TargetFile> targets;  // by path
  Delegations delegations;

  // The metadata of the top-level role, or of the delegated role `name`.
  static Result<Targets> Parse(const std::string& name, std::string_view bytes);
};

}  // namespace hostos::tuf

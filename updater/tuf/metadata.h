// The four kinds of TUF metadata (specification 1.0, section 4) as read from their JSON. Reading
// checks the form only: types, ranges, what must be there. Whom to believe is decided in trust.h.
// Fields that we do not know are allowed everywhere, and signed like all the others.
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

// Files above these sizes are refused unread (bytes).
inline constexpr size_t kRootCap = 512'000;
inline constexpr size_t kTimestampCap = 16'384;
inline constexpr size_t kSnapshotCap = 2'000'000;
inline constexpr size_t kTargetsCap = 5'000'000;

struct Signature {
  std::string keyid;
  std::string bytes;  // empty when it was not hexadecimal: verifies nothing
};

// What metadata of every kind has.
struct Header {
  std::string role;  // as messages name it
  int64_t version = 0;
  std::string expires;  // "2030-01-02T03:04:05Z": compares as text
  std::string payload;  // the canonical JSON that is signed
  std::vector<Signature> signatures;
};

// What a machine trusts of a role, and until when it counts.
struct TrustedRole {
  std::string role;  // one of the four
  int64_t version = 0;
  uint64_t expires = 0;  // seconds since the epoch
};
TrustedRole Summary(const Header& metadata);

// What signed metadata says of the bytes of another file.
struct FileInfo {
  std::optional<uint64_t> length;
  std::map<std::string, std::string> hashes;  // algorithm: lower-case hexadecimal digest
};

// `bytes` have the signed length, and every signed hash of an algorithm that we know (sha256,
// sha512). Hashes of unknown algorithms alone vouch for nothing.
Result<> CheckFile(const FileInfo& info, std::string_view bytes);

struct MetaFile : FileInfo {
  int64_t version = 0;
};

struct TargetFile : FileInfo {  // length and at least one hash are always there
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
  // What is said of the metadata of the role `name`; kNotTrusted when nothing is.
  Result<MetaFile> Find(const std::string& name) const;
};

struct Targets : Header {
  std::map<std::string, TargetFile> targets;  // by path
  Delegations delegations;

  // Of the top-level role or of the delegated role `name`.
  static Result<Targets> Parse(const std::string& name, std::string_view bytes);
};

}  // namespace hostos::tuf

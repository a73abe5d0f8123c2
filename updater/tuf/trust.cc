#include "updater/tuf/trust.h"

#include <algorithm>

#include "updater/base/clock.h"
#include "updater/tuf/name.h"

namespace hostos::tuf {
namespace {

Result<> CheckVersion(const Header& metadata, int64_t expected) {
  if (metadata.version != expected) {
    return Fail(Code::kNotTrusted, "{}: version: expected {}, found {}", metadata.role, expected,
                metadata.version);
  }
  return {};
}

Result<> CheckRollback(std::string_view what, int64_t trusted, int64_t found) {
  if (found < trusted) {
    return Fail(Code::kNotTrusted, "{}: rollback: expected version {} or later, found {}", what,
                trusted, found);
  }
  return {};
}

// Kept metadata, if its signatures satisfy the current root.
template <class Kept>
std::optional<Kept> ReadKept(const std::string& bytes, const Role& role) {
  Result<Kept> kept = Kept::Parse(bytes);
  if (!kept || !CheckSignatures(*kept, role)) return std::nullopt;
  return *std::move(kept);
}

}  // namespace

size_t ValidSignatures(const Header& metadata, const Role& role) {
  std::vector<const Key*> signers;
  for (const Signature& signature : metadata.signatures) {
    const auto key = role.keys.find(signature.keyid);
    if (key == role.keys.end()) continue;
    auto same = [&](const Key* signer) { return *signer == key->second; };
    if (std::ranges::none_of(signers, same) &&
        key->second.Verifies(metadata.payload, signature.bytes)) {
      signers.push_back(&key->second);
    }
  }
  return signers.size();
}

Result<> CheckSignatures(const Header& metadata, const Role& role) {
  const size_t valid = ValidSignatures(metadata, role);
  if (std::cmp_less(valid, role.threshold)) {
    return Fail(Code::kNotTrusted, "{}: expected good signatures by {} of {} keys, found {}",
                metadata.role, role.threshold, role.keys.size(), valid);
  }
  return {};
}

Result<Root> TrustFirstRoot(std::string_view bytes) {
  Root root = TRY(Root::Parse(bytes));
  TRY(CheckSignatures(root, root.root));
  return root;
}

Result<Root> TrustNextRoot(const Root& trusted, std::string_view bytes) {
  Root next = TRY(Root::Parse(bytes));
  TRY_CONTEXT("keys of the root before", CheckSignatures(next, trusted.root));
  TRY_CONTEXT("its own keys", CheckSignatures(next, next.root));
  TRY(CheckVersion(next, trusted.version + 1));
  return next;
}

Result<> CheckExpiry(const Header& metadata, uint64_t now) {
  const std::string time = FormatTimeIso(now);
  if (metadata.expires <= time) {
    return Fail(Code::kNotTrusted, "{}: version {} expired at {}, it is {} now", metadata.role,
                metadata.version, metadata.expires, time);
  }
  return {};
}

Remembered Remember(const Root& root, const std::optional<std::string>& timestamp,
                    const std::optional<std::string>& snapshot) {
  Remembered kept;
  if (timestamp) kept.timestamp = ReadKept<Timestamp>(*timestamp, root.timestamp);
  if (snapshot) kept.snapshot = ReadKept<Snapshot>(*snapshot, root.snapshot);
  if (kept.timestamp.has_value() != timestamp.has_value() ||
      kept.snapshot.has_value() != snapshot.has_value()) {
    return {};
  }
  return kept;
}

Result<std::optional<Timestamp>> TrustTimestamp(const Root& root, const Remembered& before,
                                                std::string_view bytes, uint64_t now) {
  Timestamp timestamp = TRY(Timestamp::Parse(bytes));
  TRY(CheckSignatures(timestamp, root.timestamp));
  if (const auto& kept = before.timestamp) {
    TRY(CheckRollback("timestamp", kept->version, timestamp.version));
    if (timestamp.version == kept->version) {
      TRY(CheckExpiry(*kept, now));
      return std::nullopt;
    }
    TRY(CheckRollback("timestamp: snapshot.json", kept->snapshot.version,
                      timestamp.snapshot.version));
  }
  TRY(CheckExpiry(timestamp, now));
  return timestamp;
}

Result<Snapshot> TrustSnapshot(const Root& root, const Timestamp& timestamp,
                               const Remembered& before, std::string_view bytes, uint64_t now) {
  TRY_CONTEXT("snapshot", CheckFile(timestamp.snapshot, bytes));
  Snapshot snapshot = TRY(Snapshot::Parse(bytes));
  TRY(CheckSignatures(snapshot, root.snapshot));
  TRY(CheckVersion(snapshot, timestamp.snapshot.version));
  if (before.snapshot) {
    for (const auto& [name, kept] : before.snapshot->meta) {
      const auto found = snapshot.meta.find(name);
      if (found == snapshot.meta.end()) {
        return Fail(Code::kNotTrusted, "snapshot: rollback: expected {} as before, found it gone",
                    EncodeName(name));
      }
      TRY(CheckRollback("snapshot: " + EncodeName(name), kept.version, found->second.version));
    }
  }
  TRY(CheckExpiry(snapshot, now));
  return snapshot;
}

Result<Targets> TrustTargets(const std::string& name, const Role& role, const Snapshot& snapshot,
                             std::string_view bytes, uint64_t now) {
  const MetaFile meta = TRY(snapshot.Find(name));
  TRY_CONTEXT(EncodeName(name), CheckFile(meta, bytes));
  Targets targets = TRY(Targets::Parse(name, bytes));
  TRY(CheckSignatures(targets, role));
  TRY(CheckVersion(targets, meta.version));
  TRY(CheckExpiry(targets, now));
  return targets;
}

}  // namespace hostos::tuf

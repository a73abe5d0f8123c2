#include "updater/tuf/metadata.h"

#include <openssl/evp.h>

#include <array>
#include <set>

#include "updater/base/clock.h"
#include "updater/base/digest.h"
#include "updater/tuf/name.h"

namespace hostos::tuf {
namespace {

constexpr std::array<const char*, 2> kHashes = {"sha256", "sha512"};

std::string HashOf(const char* algorithm, std::string_view bytes) {
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest;
  size_t size = 0;
  EVP_Q_digest(nullptr, algorithm, nullptr, bytes.data(), bytes.size(), digest.data(), &size);
  return Hex(std::span(digest).first(size));
}

// Above this, JSON readers disagree about numbers. It also leaves room for a next version.
constexpr int64_t kMostVersion = int64_t{1} << 53;

Result<int64_t> ReadVersion(const Object& object) {
  const int64_t version = TRY(object.Integer("version", 1));
  if (version <= kMostVersion) return version;
  return Fail(Code::kNotTrusted, "{}.version: expected at most {}, found {}", object.where(),
              kMostVersion, version);
}

Result<std::vector<Signature>> ReadSignatures(const Object& file) {
  std::vector<Signature> signatures;
  std::set<std::string> keyids;
  for (const Object& signature : TRY(file.Children("signatures"))) {
    std::string keyid = TRY(signature.Text("keyid"));
    if (!keyids.insert(keyid).second) {
      return Fail(Code::kNotTrusted,
                  "{}: expected one signature of each key, found another of '{}'",
                  signature.where(), EncodeName(keyid));
    }
    const std::string hex = TRY(signature.Text("sig"));
    signatures.push_back({std::move(keyid), DecodeHex(hex)});
  }
  return signatures;
}

// Reads the fields every kind has into `header`. Returns the document's object "signed".
Result<Object> ReadHeader(const Json& json, const std::string& role, std::string_view type,
                          Header& header) {
  const Object file = TRY(Object::From(json, role));
  const Object body = TRY(file.Child("signed"));
  const std::string found = TRY(body.Text("_type"));
  if (found != type) {
    return Fail(Code::kNotTrusted, "{}._type: expected '{}', found '{}'", body.where(), type,
                EncodeName(found));
  }
  const std::string specification = TRY(body.Text("spec_version"));
  if (!specification.starts_with("1.")) {
    return Fail(Code::kNotTrusted, "{}.spec_version: expected 1.x, found '{}'", body.where(),
                EncodeName(specification));
  }
  header.expires = TRY(body.Text("expires"));
  if (!ParseTimeIso(header.expires)) {
    return Fail(Code::kNotTrusted,
                "{}.expires: expected a time like 2030-01-02T03:04:05Z, found '{}'", body.where(),
                EncodeName(header.expires));
  }
  header.role = role;
  header.version = TRY(ReadVersion(body));
  header.signatures = TRY(ReadSignatures(file));
  header.payload = CanonicalJson(body.json());
  return body;
}

Result<Json> ParseOf(const std::string& role, std::string_view bytes, size_t cap) {
  return TRY_CONTEXT(role, ParseJson(bytes, cap));
}

// Reads length and hashes, each if present. If hashes are present, there is at least one.
Result<FileInfo> ReadFileInfo(const Object& file) {
  FileInfo info;
  if (file.Has("length")) info.length = TRY(file.Integer("length", 0));
  if (file.Has("hashes")) {
    info.hashes = TRY(file.TextMap("hashes"));
    for (const auto& [algorithm, hash] : info.hashes)  // it becomes part of a file name
      if (DecodeHex(hash).empty())
        return Fail(Code::kNotTrusted, "{}.hashes.{}: expected hexadecimal digits, found '{}'",
                    file.where(), EncodeName(algorithm), EncodeName(hash));
    if (info.hashes.empty()) {
      return Fail(Code::kNotTrusted, "{}.hashes: expected a hash, found none", file.where());
    }
  }
  return info;
}

Result<MetaFile> ReadMetaFile(const Object& file) {
  FileInfo info = TRY(ReadFileInfo(file));
  const int64_t version = TRY(ReadVersion(file));
  return MetaFile{std::move(info), version};
}

Result<TargetFile> ReadTargetFile(const std::string& path, const Object& file) {
  TargetFile target{TRY(ReadFileInfo(file)), path};
  if (!target.length || target.hashes.empty()) {
    return Fail(Code::kNotTrusted, "{}: expected a length and hashes", file.where());
  }
  return target;
}

}  // namespace

TrustedRole Summary(const Header& metadata) {
  return {metadata.role, metadata.version, ParseTimeIso(metadata.expires).value_or(0)};
}

Result<> CheckFile(const FileInfo& info, std::string_view bytes) {
  if (info.length && *info.length != bytes.size()) {
    return Fail(Code::kNotTrusted, "length: expected {}, found {}", *info.length, bytes.size());
  }
  bool known = false;
  for (const char* algorithm : kHashes) {
    const auto expected = info.hashes.find(algorithm);
    if (expected == info.hashes.end()) continue;
    known = true;
    const std::string found = HashOf(algorithm, bytes);
    if (expected->second != found) {
      return Fail(Code::kNotTrusted, "{}: expected {}, found {}", algorithm,
                  EncodeName(expected->second), found);
    }
  }
  if (!known && !info.hashes.empty()) {
    return Fail(Code::kNotTrusted, "hash: expected sha256 or sha512, found only '{}'",
                EncodeName(info.hashes.begin()->first));
  }
  return {};
}

Result<Root> Root::Parse(std::string_view bytes) {
  const Json json = TRY(ParseOf("root", bytes, kRootCap));
  Root root;
  const Object body = TRY(ReadHeader(json, "root", "root", root));
  if (body.Has("consistent_snapshot")) {
    root.consistent_snapshot = TRY(body.Flag("consistent_snapshot"));
  }
  const Keys keys = TRY(ReadKeys(body));
  const Object roles = TRY(body.Child("roles"));
  for (const auto& [name, role] : {std::pair("root", &root.root),
                                   {"timestamp", &root.timestamp},
                                   {"snapshot", &root.snapshot},
                                   {"targets", &root.targets}}) {
    const Object entry = TRY(roles.Child(name));
    *role = TRY(ReadRole(entry, keys));
  }
  return root;
}

Result<Timestamp> Timestamp::Parse(std::string_view bytes) {
  const Json json = TRY(ParseOf("timestamp", bytes, kTimestampCap));
  Timestamp timestamp;
  const Object body = TRY(ReadHeader(json, "timestamp", "timestamp", timestamp));
  const Object meta = TRY(body.Child("meta"));
  const Object file = TRY(meta.Child("snapshot.json"));
  timestamp.snapshot = TRY(ReadMetaFile(file));
  return timestamp;
}

Result<Snapshot> Snapshot::Parse(std::string_view bytes) {
  const Json json = TRY(ParseOf("snapshot", bytes, kSnapshotCap));
  Snapshot snapshot;
  const Object body = TRY(ReadHeader(json, "snapshot", "snapshot", snapshot));
  for (const auto& [name, file] : TRY(body.Members("meta"))) {
    snapshot.meta.emplace(name, TRY(ReadMetaFile(file)));
  }
  return snapshot;
}

Result<MetaFile> Snapshot::Find(const std::string& name) const {
  const auto found = meta.find(name + ".json");
  if (found == meta.end()) {
    return Fail(Code::kNotTrusted, "snapshot: expected the version of {}.json, found none",
                EncodeName(name));
  }
  return found->second;
}

Result<Targets> Targets::Parse(const std::string& name, std::string_view bytes) {
  const std::string role = EncodeName(name);
  const Json json = TRY(ParseOf(role, bytes, kTargetsCap));
  Targets targets;
  const Object body = TRY(ReadHeader(json, role, "targets", targets));
  for (const auto& [path, file] : TRY(body.Members("targets"))) {
    if (!StaysBelow(path))
      return Fail(Code::kNotTrusted, "{}: expected a path below the targets", file.where());
    targets.targets.emplace(path, TRY(ReadTargetFile(path, file)));
  }
  if (body.Has("delegations")) {
    const Object delegations = TRY(body.Child("delegations"));
    targets.delegations = TRY(ReadDelegations(delegations));
  }
  return targets;
}

}  // namespace hostos::tuf

#include "updater/tuf/delegation.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <set>

#include "updater/base/digest.h"
#include "updater/base/unique_fd.h"
#include "updater/tuf/name.h"

namespace hostos::tuf {
namespace {

constexpr int kMostBits = 32;
// Not allowed for a delegated role: it would share another role's file.
constexpr std::array<std::string_view, 4> kTopLevel = {"root", "timestamp", "snapshot", "targets"};

// The number of the bin (TAP 15): the first `bits` bits of the path's hash, with as many
// hexadecimal digits as the highest bin's number.
std::string BinOf(const Digest& path, int bits) {
  uint64_t number = 0;
  for (int i = 0; i < 4; ++i) number = number << 8 | path.bytes[i];
  return std::format("{:0{}x}", number >> (kMostBits - bits), (bits + 3) / 4);
}

}  // namespace

Result<Keys> ReadKeys(const Object& parent) {
  Keys keys;
  for (const auto& [keyid, key] : TRY(parent.Members("keys"))) keys.emplace(keyid, Key(key));
  return keys;
}

Result<Role> ReadRole(const Object& role, const Keys& keys) {
  Role read{.threshold = TRY(role.Integer("threshold", 1))};
  std::set<std::string> seen;
  for (const std::string& keyid : TRY(role.Texts("keyids"))) {
    if (!seen.insert(keyid).second) {
      return Fail(Code::kNotTrusted, "{}.keyids: expected each key once, found '{}' twice",
                  role.where(), EncodeName(keyid));
    }
    if (const auto key = keys.find(keyid); key != keys.end()) read.keys.insert(*key);
  }
  return read;
}

Result<Delegations> ReadDelegations(const Object& delegations) {
  Delegations read;
  const Keys keys = TRY(ReadKeys(delegations));
  if (delegations.Has("roles") == delegations.Has("succinct_roles")) {
    return Fail(Code::kNotTrusted, "{}: expected one of 'roles' and 'succinct_roles'",
                delegations.where());
  }
  if (delegations.Has("succinct_roles")) {
    const Object bins = TRY(delegations.Child("succinct_roles"));
    const int64_t bits = TRY(bins.Integer("bit_length", 1));
    if (bits > kMostBits) {
      return Fail(Code::kNotTrusted, "{}.bit_length: expected at most {}, found {}", bins.where(),
                  kMostBits, bits);
    }
    Role role = TRY(ReadRole(bins, keys));
    read.bins_ = {std::move(role), static_cast<int>(bits), {}};
    read.bins_->prefix = TRY(bins.Text("name_prefix"));
    return read;
  }
  std::set<std::string> names;
  for (const Object& role : TRY(delegations.Children("roles"))) {
    Delegations::Entry entry;
    entry.name = TRY(role.Text("name"));
    entry.role = TRY(ReadRole(role, keys));
    entry.terminating = TRY(role.Flag("terminating"));
    if (std::ranges::contains(kTopLevel, entry.name) || !names.insert(entry.name).second) {
      return Fail(Code::kNotTrusted, "{}.name: expected a name of its own, found '{}'",
                  role.where(), EncodeName(entry.name));
    }
    if (role.Has("paths") == role.Has("path_hash_prefixes")) {
      return Fail(Code::kNotTrusted, "{}: expected one of 'paths' and 'path_hash_prefixes'",
                  role.where());
    }
    if (role.Has("paths")) entry.patterns = TRY(role.Texts("paths"));
    if (role.Has("path_hash_prefixes")) {
      entry.hash_prefixes = TRY(role.Texts("path_hash_prefixes"));
    }
    read.entries_.push_back(std::move(entry));
  }
  return read;
}

std::vector<DelegatedRole> Delegations::For(const std::string& path) const {
  const Digest digest = Sha256::Of(AsBytes(path));
  if (bins_) {
    return {{bins_->prefix + "-" + BinOf(digest, bins_->bits), bins_->role, /*terminating=*/true}};
  }
  const std::string hash = digest.Hex();
  std::vector<DelegatedRole> roles;
  for (const Entry& entry : entries_) {
    auto matches = [&](const std::string& pattern) { return MatchesPattern(path, pattern); };
    auto begins = [&](const std::string& prefix) { return hash.starts_with(prefix); };
    if (std::ranges::any_of(entry.patterns, matches) ||
        std::ranges::any_of(entry.hash_prefixes, begins)) {
      roles.push_back(entry);
    }
  }
  return roles;
}

bool MatchesPattern(const std::string& path, const std::string& pattern) {
  // fnmatch() stops at a NUL.
  if (path.contains('\0') || pattern.contains('\0')) return path == pattern;
  return fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME | FNM_NOESCAPE) == 0;
}

}  // namespace hostos::tuf

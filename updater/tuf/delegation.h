// Who may sign what: a role's keys and threshold, and how targets metadata delegates parts of its
// paths to other roles (specification 4.5; hash bins as in TAP 15).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/result.h"
#include "updater/tuf/key.h"

namespace hostos::tuf {

using Keys = std::map<std::string, Key>;  // by key id, an opaque string

struct Role {
  int64_t threshold = 1;
  Keys keys;  // for those of its key ids that have a key
};

// Reads the member "keys" of root, or of delegations.
Result<Keys> ReadKeys(const Object& parent);
// Reads the members "threshold" and "keyids". A key id without a key counts for nothing.
Result<Role> ReadRole(const Object& role, const Keys& keys);

struct DelegatedRole {
  std::string name;
  Role role;
  bool terminating = false;
};

class Delegations {
 public:
  // The roles that `path` is delegated to, in the order to ask them.
  std::vector<DelegatedRole> For(const std::string& path) const;

 private:
  friend Result<Delegations> ReadDelegations(const Object& delegations);

  struct Entry : DelegatedRole {
    std::vector<std::string> patterns;       // either these
    std::vector<std::string> hash_prefixes;  // or these
  };
  struct Bins {  // 2^bits roles "<prefix>-<number>"; the path's hash picks one
    Role role;
    int bits = 1;
    std::string prefix;
  };
  std::vector<Entry> entries_;
  std::optional<Bins> bins_;
};

Result<Delegations> ReadDelegations(const Object& delegations);

// Shell pattern (specification 4.5, glob(7)): '*' is any number of bytes, '?' is one, '[...]' is
// one of a set, '[!...]' is one not in the set; none of them matches a '/'. A backslash is an
// ordinary character.
bool MatchesPattern(const std::string& path, const std::string& pattern);

}  // namespace hostos::tuf

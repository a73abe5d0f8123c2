// Who may sign what: the keys and the threshold of a role, and how targets metadata hands parts of
// its paths to other roles (specification 4.5; bins of hashes after TAP 15).
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
  Keys keys;  // those of its key ids that a key was given for
};

// The member "keys" of root, or of delegations.
Result<Keys> ReadKeys(const Object& parent);
// The members "threshold" and "keyids"; a key id that no key was given for counts for nothing.
Result<Role> ReadRole(const Object& role, const Keys& keys);

struct DelegatedRole {
  std::string name;
  Role role;
  bool terminating = false;
};

class Delegations {
 public:
  // The roles that `path` is delegated to, in the order in which they are to be asked.
  std::vector<DelegatedRole> For(const std::string& path) const;

 private:
  friend Result<Delegations> ReadDelegations(const Object& delegations);

  struct Entry : DelegatedRole {
    std::vector<std::string> patterns;       // either these
    std::vector<std::string> hash_prefixes;  // or these
  };
  struct Bins {  // 2^bits roles "<prefix>-<number>"; a path belongs to one by its hash
    Role role;
    int bits = 1;
    std::string prefix;
  };
  std::vector<Entry> entries_;
  std::optional<Bins> bins_;
};

Result<Delegations> ReadDelegations(const Object& delegations);

// Shell pattern (specification 4.5, glob(7)): '*' is any number of bytes, '?' is one, '[...]' is
// one of some, '[!...]' one of all others, and none of them is a '/'. A backslash is itself.
bool MatchesPattern(const std::string& path, const std::string& pattern);

}  // namespace hostos::tuf

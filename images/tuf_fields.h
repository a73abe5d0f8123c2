// What the publisher's side writes into TUF metadata and reads there again.
#pragma once

#include <array>
#include <string>

#include "updater/source/sign.h"
#include "updater/tuf/json.h"

namespace hostos {

// The roles; a change of an earlier one calls for a new version of those that follow.
inline const std::array<std::string, 4> kTufRoles = {"root", "targets", "snapshot", "timestamp"};

inline constexpr const char* kDaysKey = "x-hostos-days";    // in root: role to days
inline constexpr const char* kIndexKey = "x-hostos-index";  // in targets: the last index given
inline constexpr const char* kNamesKey = "x-hostos-names";  // in root: key id to a name for people
inline constexpr const char* kMinimumKey =
    "x-hostos-minimum";  // in targets: channel to least index
// In root and targets: the SHA-256 of the version before.
inline constexpr const char* kAfterKey = "x-hostos-after";

tuf::Json PublicJson(const PublicKey& key);
std::string KeyId(const PublicKey& key);

// "<directory>/<sha256>.<name>": where consistent snapshots have a target.
std::string HashedPath(const std::string& path, const std::string& sha256);

// A member of an object; "" when it is not there, or no text.
std::string TextIn(const tuf::Json& object, const std::string& key);

// What people call a key: the name of the file that it came in, or the start of its id.
std::string NameOf(const tuf::Json& root, const std::string& id);

}  // namespace hostos

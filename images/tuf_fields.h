// The fields that the publisher's tools write into TUF metadata and read back.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "updater/release/signature.h"
#include "updater/tuf/json.h"

namespace hostos {

// The roles. A change to one requires new versions of those after it.
inline const std::array<std::string, 4> kTufRoles = {"root", "targets", "snapshot", "timestamp"};

inline constexpr const char* kDaysKey = "x-hostos-days";    // in root: role to days
inline constexpr const char* kIndexKey = "x-hostos-index";  // in targets: the last index given out
inline constexpr const char* kNamesKey = "x-hostos-names";  // in root: key id to a name for people
inline constexpr const char* kMinimumKey =
    "x-hostos-minimum";  // in targets: channel to least index
// In root and targets: the SHA-256 of the version before.
inline constexpr const char* kAfterKey = "x-hostos-after";

tuf::Json PublicJson(const PublicKey& key);
std::string KeyId(const PublicKey& key);

// "<directory>/<sha256>.<name>": the place of a target with consistent snapshots.
std::string HashedPath(const std::string& path, const std::string& sha256);

// A member of an object; "" when it is missing or no text.
std::string TextIn(const tuf::Json& object, const std::string& key);

// A key's name for people: that of the file it came in, or the start of its id.
std::string NameOf(const tuf::Json& root, const std::string& id);

// Online roles follow automatically, where the online key is. People sign the other roles, when
// something changes.
bool IsOnline(const std::string& role);

// The role whose version this one names; "" if none.
std::string NamedBy(const std::string& role);

inline constexpr uint64_t kSecondsOfDay = 86'400;

// How many days a version of the role is valid.
uint64_t DaysOf(const tuf::Json& root, const std::string& role);

}  // namespace hostos

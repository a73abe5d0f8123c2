// The files of a TUF repository's roles: as they are read, and as they are written.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "updater/base/result.h"
#include "updater/tuf/json.h"
#include "updater/tuf/metadata.h"

namespace hostos {

Result<tuf::Header> ParseRole(const std::string& role, std::string_view bytes);

struct RoleFile {
  std::string bytes;
  tuf::Json json;
};

// The file, once it has parsed as the type it claims; absent when it does not exist.
Result<std::optional<RoleFile>> ReadRoleFile(const std::string& path);

std::string Document(const tuf::Json& body, const std::map<std::string, std::string>& signatures);

std::string PayloadDigest(const tuf::Json& body);

// Holds the version of the last timestamp made on this machine.
inline constexpr const char* kLastTimestampFile = "/last-timestamp";

}  // namespace hostos

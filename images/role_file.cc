#include "images/role_file.h"

#include "updater/base/digest.h"
#include "updater/base/unique_fd.h"

namespace hostos {

Result<tuf::Header> ParseRole(const std::string& role, std::string_view bytes) {
  if (role == "root") return TRY(tuf::Root::Parse(bytes));
  if (role == "targets") return TRY(tuf::Targets::Parse(role, bytes));
  if (role == "snapshot") return TRY(tuf::Snapshot::Parse(bytes));
  return TRY(tuf::Timestamp::Parse(bytes));
}

Result<std::optional<RoleFile>> ReadRoleFile(const std::string& path) {
  Result<std::string> bytes = ReadFile(path, tuf::kTargetsCap);
  if (!bytes && bytes.error().code == Code::kNotFound) return std::nullopt;
  RoleFile file{TRY(std::move(bytes)), {}};
  file.json = TRY_CONTEXT(path, tuf::ParseJson(file.bytes, tuf::kTargetsCap));
  const tuf::Object object = TRY_CONTEXT(path, tuf::Object::From(file.json, "file"));
  const tuf::Object body = TRY_CONTEXT(path, object.Child("signed"));
  const std::string type = TRY_CONTEXT(path, body.Text("_type"));
  TRY_CONTEXT(path, ParseRole(type, file.bytes));
  return file;
}

std::string Document(const tuf::Json& body, const std::map<std::string, std::string>& signatures) {
  tuf::Json list = tuf::Json::array();
  for (const auto& [id, bytes] : signatures) list.push_back({{"keyid", id}, {"sig", bytes}});
  return tuf::Json{{"signatures", list}, {"signed", body}}.dump(1) + "\n";
}

std::string PayloadDigest(const tuf::Json& body) {
  return Sha256::Of(AsBytes(tuf::CanonicalJson(body))).Hex();
}

}  // namespace hostos

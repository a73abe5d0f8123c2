#include "images/tuf_fields.h"

#include "updater/base/digest.h"
#include "updater/base/unique_fd.h"
#include "updater/release/commit.h"
#include "updater/tuf/name.h"

namespace hostos {

tuf::Json PublicJson(const PublicKey& key) {
  const std::span raw(reinterpret_cast<const uint8_t*>(key.bytes.data()), key.bytes.size());
  return {{"keytype", "ed25519"}, {"scheme", "ed25519"}, {"keyval", {{"public", Hex(raw)}}}};
}

std::string KeyId(const PublicKey& key) {
  return Sha256::Of(AsBytes(tuf::CanonicalJson(PublicJson(key)))).Hex();
}

std::string HashedPath(const std::string& path, const std::string& sha256) {
  const size_t name = path.rfind('/') + 1;
  return path.substr(0, name) + sha256 + "." + path.substr(name);
}

std::string TextIn(const tuf::Json& object, const std::string& key) {
  const auto value = object.is_object() ? object.find(key) : object.end();
  return value != object.end() && value->is_string() ? value->get<std::string>() : "";
}

std::string NameOf(const tuf::Json& root, const std::string& id) {
  const auto names = root.find(kNamesKey);
  const std::string name = names != root.end() ? TextIn(*names, id) : "";
  return IsValidName(name) ? name : tuf::EncodeName(id.substr(0, 8));
}

bool IsOnline(const std::string& role) {
  return role == "snapshot" || role == "timestamp";
}

std::string NamedBy(const std::string& role) {
  return role == "timestamp" ? "snapshot" : role == "snapshot" ? "targets" : "";
}

uint64_t DaysOf(const tuf::Json& root, const std::string& role) {
  return root.contains(kDaysKey) ? root[kDaysKey].value(role, 1U) : 1U;
}

}  // namespace hostos

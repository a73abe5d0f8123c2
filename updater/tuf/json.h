// JSON as TUF signs it: a strict parser, the canonical form that signatures cover, and a reader of
// objects whose errors say which field should have been what. Everything it refuses is kNotTrusted.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "updater/base/result.h"

namespace hostos::tuf {

using Json = nlohmann::json;

// Parses one document of at most `cap` bytes: UTF-8, no name twice in an object, no fractions,
// 64-bit integers, at most 64 levels deep.
Result<Json> ParseJson(std::string_view text, size_t cap);

// Canonical JSON (OLPC) as securesystemslib writes it: names sorted as bytes, no white space, and
// in strings only '"' and '\' escaped.
std::string CanonicalJson(const Json& json);

// One JSON object and its place ("root.signed.roles"). Refers to its document, which must outlive
// it.
class Object {
 public:
  static Result<Object> From(const Json& json, std::string where);

  const std::string& where() const { return where_; }
  const Json& json() const { return *json_; }
  bool Has(const char* key) const { return json_->contains(key); }

  Result<std::string> Text(const char* key) const;
  Result<int64_t> Integer(const char* key, int64_t least) const;
  Result<bool> Flag(const char* key) const;
  Result<std::vector<std::string>> Texts(const char* key) const;  // an array of strings
  Result<std::map<std::string, std::string>> TextMap(
      const char* key) const;  // an object of strings
  Result<Object> Child(const char* key) const;
  Result<std::vector<Object>> Children(const char* key) const;                         // an array
  Result<std::vector<std::pair<std::string, Object>>> Members(const char* key) const;  // by name

 private:
  Object(const Json& json, std::string where) : json_(&json), where_(std::move(where)) {}

  const Json& Find(const char* key) const;
  std::unexpected<Error> Unexpected(std::string_view key, std::string_view expected,
                                    const Json& found) const;

  const Json* json_;
  std::string where_;
};

}  // namespace hostos::tuf

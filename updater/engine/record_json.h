// The JSON of what is kept on the state partition: a strict reader, and what its files share.
#pragma once

#include <algorithm>
#include <array>
#include <format>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "updater/engine/record.h"

namespace hostos {

// A strict reader of one JSON object: every field is there, of the right type, and known. The first
// problem in the document is kept; the fields after it read as empty.
class JsonReader {
 public:
  JsonReader(const nlohmann::json& object, std::string where, std::string& problem)
      : object_(object), where_(std::move(where)), problem_(problem) {
    if (!object.is_object()) Note("", "an object");
  }

  bool Has(const char* key) const { return object_.is_object() && object_.contains(key); }

  std::string String(const char* key) {
    const nlohmann::json& value = Find(key);
    if (value.is_string()) return value.get<std::string>();
    Note(key, "a string");
    return {};
  }
  uint64_t Number(const char* key) {
    const nlohmann::json& value = Find(key);
    if (value.is_number_unsigned()) return value.get<uint64_t>();
    Note(key, "a whole number");
    return 0;
  }
  bool Flag(const char* key) {
    const nlohmann::json& value = Find(key);
    if (value.is_boolean()) return value.get<bool>();
    Note(key, "true or false");
    return false;
  }
  Digest Hash(const char* key) {
    Result<Digest> digest = Digest::FromHex(String(key));
    if (digest) return *digest;
    Note(key, "64 hexadecimal digits");
    return {};
  }
  // The index of the string among `names`, as an enumerator.
  template <class Enum, size_t N>
  Enum Choice(const char* key, const std::array<const char*, N>& names) {
    auto found = std::ranges::find(names, String(key));
    if (found != names.end()) return static_cast<Enum>(found - names.begin());
    Note(key, "one of the known names");
    return {};
  }
  std::vector<std::string> Strings(const char* key) {
    std::vector<std::string> strings;
    const nlohmann::json& value = Find(key);
    if (!value.is_array()) Note(key, "an array");
    for (const nlohmann::json& item : value) {
      if (!item.is_string()) Note(key, "an array of strings");
      strings.push_back(item.is_string() ? item.get<std::string>() : "");
    }
    return strings;
  }
  JsonReader Object(const char* key) { return JsonReader(Find(key), where_ + key + ".", problem_); }
  // `read(JsonReader)` of every element of an array of objects, collected.
  template <class Read>
  auto Array(const char* key, Read read) {
    std::vector<decltype(read(*this))> items;
    const nlohmann::json& value = Find(key);
    if (!value.is_array()) Note(key, "an array");
    for (const nlohmann::json& item : value)
      items.push_back(read(JsonReader(item, where_ + key + "[].", problem_)));
    return items;
  }

 private:
  const nlohmann::json& Find(const char* key) const {
    static const nlohmann::json absent;
    return Has(key) ? object_[key] : absent;
  }
  void Note(std::string_view key, std::string_view expected = "") {
    if (problem_.empty()) problem_ = std::format("{}{}: {}", where_, key, expected);
  }

  const nlohmann::json& object_;
  std::string where_;
  std::string& problem_;
};

// A whole file: an object whose "format" is one that T knows; `read(JsonReader&)` makes a T of it.
// kNotSupported when the format is a newer one.
template <class T, class Read>
Result<T> ReadDocument(std::string_view text, Read read) {
  const nlohmann::json in = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (in.is_discarded()) return Fail(Code::kFailed, "not a JSON document");
  std::string problem;
  JsonReader reader(in, "", problem);
  if (const uint64_t format = reader.Number("format"); problem.empty() && format > T::kFormat)
    return Fail(Code::kNotSupported, "format {}, this version knows up to {}", format, T::kFormat);
  T document = read(reader);
  if (!problem.empty()) return Fail(Code::kFailed, "expected {}", problem);
  return document;
}

inline constexpr std::array<const char*, 2> kSlotNames = {"A", "B"};

inline nlohmann::json Write(const ReleaseId& id) {
  return {{"version", id.version}, {"commit", id.commit.Hex()}, {"root_hash", id.root_hash.Hex()}};
}

inline ReleaseId ReadId(JsonReader reader) {
  return {reader.String("version"), reader.Hash("commit"), reader.Hash("root_hash")};
}

}  // namespace hostos

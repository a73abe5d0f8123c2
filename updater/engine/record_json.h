// Reads and writes the JSON files on the state partition; this is what they share. JsonReader takes
// what it understands and ignores what it is not asked for. It notes damage apart from what only
// another version knows: docs/state-record.md has the policy.
#pragma once

#include <algorithm>
#include <array>
#include <format>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "updater/engine/record.h"

namespace hostos {

// What is wrong with a document or with one item of it: the first of each kind, "" for none.
struct Reading {
  std::string damage;   // a value has another type than it has in every version
  std::string unknown;  // something indispensable is missing, or only another version knows it
};

// Reads one JSON object. An absent field reads as empty; a field that is not asked for is ignored.
class JsonReader {
 public:
  JsonReader(const nlohmann::json& object, std::string where, Reading& reading)
      : object_(object), where_(std::move(where)), reading_(reading) {
    if (!object.is_object()) Note(reading_.damage, "", "an object");
  }

  // null counts as absent.
  bool Has(const char* key) const {
    return object_.is_object() && object_.contains(key) && !object_[key].is_null();
  }

  // Without this field the object cannot be used.
  void Need(const char* key) {
    if (!Has(key)) Note(reading_.unknown, key, "to be there");
  }
  std::string String(const char* key) {
    const nlohmann::json* value = Find(key);
    if (value && value->is_string()) return value->get<std::string>();
    if (value) Note(reading_.damage, key, "a string");
    return {};
  }
  uint64_t Number(const char* key) {
    const nlohmann::json* value = Find(key);
    if (value && value->is_number_unsigned()) return value->get<uint64_t>();
    if (value) Note(reading_.damage, key, "a whole number");
    return 0;
  }
  bool Flag(const char* key) {
    const nlohmann::json* value = Find(key);
    if (value && value->is_boolean()) return value->get<bool>();
    if (value) Note(reading_.damage, key, "true or false");
    return false;
  }
  // The hash of a release. May be absent, but if it is there, it has to be understood.
  Digest Hash(const char* key) {
    if (!Has(key)) return {};
    Result<Digest> digest = Digest::FromHex(String(key));
    if (digest) return *digest;
    Note(reading_.damage, key, "64 hexadecimal digits");
    Note(reading_.unknown, key, "64 hexadecimal digits");
    return {};
  }
  // The index of the string among `names`, as an enumerator. May be absent, but if it is there, it
  // has to be understood.
  template <class Enum, size_t N>
  Enum Choice(const char* key, const std::array<const char*, N>& names) {
    if (!Has(key)) return {};
    auto found = std::ranges::find(names, String(key));
    if (found != names.end()) return static_cast<Enum>(found - names.begin());
    Note(reading_.unknown, key, "one of the known names");
    return {};
  }
  std::vector<std::string> Strings(const char* key) {
    std::vector<std::string> strings;
    for (const nlohmann::json& item : Items(key)) {
      if (!item.is_string()) Note(reading_.damage, key, "an array of strings");
      strings.push_back(item.is_string() ? item.get<std::string>() : "");
    }
    return strings;
  }
  // An object that has to be there.
  JsonReader Object(const char* key) {
    static const nlohmann::json nothing = nlohmann::json::object();
    Need(key);
    const nlohmann::json* value = Find(key);
    if (value && !value->is_object()) Note(reading_.unknown, key, "an object");
    return JsonReader(value ? *value : nothing, where_ + key + ".", reading_);
  }
  // `read(JsonReader)` of every element of an array of objects; leaves out those that are not
  // understood.
  template <class Read>
  auto Array(const char* key, Read read) {
    std::vector<decltype(read(*this))> items;
    for (const nlohmann::json& item : Items(key)) {
      Reading found;
      auto value = read(JsonReader(item, where_ + key + "[].", found));
      if (found.unknown.empty() && item.is_object()) items.push_back(std::move(value));
      if (reading_.damage.empty()) reading_.damage = found.damage;
    }
    return items;
  }
  // `read(JsonReader)` of one object. Absent when the object is absent, or when any field of it is
  // damaged or not understood.
  template <class Read>
  auto Part(const char* key, Read read) -> std::optional<decltype(read(*this))> {
    if (!Has(key)) return std::nullopt;
    Reading found;
    auto value = read(JsonReader(object_[key], where_ + key + ".", found));
    if (reading_.damage.empty()) reading_.damage = found.damage;
    if (!found.damage.empty() || !found.unknown.empty()) return std::nullopt;
    return value;
  }

 private:
  const nlohmann::json* Find(const char* key) const { return Has(key) ? &object_[key] : nullptr; }
  const nlohmann::json& Items(const char* key) {
    static const nlohmann::json none = nlohmann::json::array();
    const nlohmann::json* value = Find(key);
    if (value && value->is_array()) return *value;
    if (value) Note(reading_.damage, key, "an array");
    return none;
  }
  void Note(std::string& note, std::string_view key, std::string_view expected) const {
    if (note.empty()) note = std::format("{}{}: {}", where_, key, expected);
  }

  const nlohmann::json& object_;
  std::string where_;
  Reading& reading_;
};

enum class Newer { kWhole, kPartly };

// Reads a whole file: an object with a "format", of which `read(JsonReader&)` makes a T.
// kNotSupported when something indispensable is known only to another version. A format newer than
// T's may have given its fields other types: with kPartly, such fields are left out.
template <class T, class Read>
Result<T> ReadDocument(std::string_view text, Read read, Newer newer = Newer::kWhole) {
  const nlohmann::json in = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (in.is_discarded()) return Fail(Code::kFailed, "not a JSON document");
  Reading reading;
  JsonReader reader(in, "", reading);
  const uint64_t format = reader.Number("format");
  if (reading.damage.empty() && format == 0) reading.damage = "format: a whole number from 1";
  const Code code = format > T::kFormat ? Code::kNotSupported : Code::kFailed;
  if (code == Code::kFailed && !reading.damage.empty())
    return Fail(code, "expected {}", reading.damage);
  T document = read(reader);
  if (!reading.damage.empty() && (code == Code::kFailed || newer == Newer::kWhole))
    return Fail(code, "expected {}", reading.damage);
  if (!reading.unknown.empty())
    return Fail(Code::kNotSupported, "format {}: expected {}", format, reading.unknown);
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

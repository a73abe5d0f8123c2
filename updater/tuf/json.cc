#include "updater/tuf/json.h"

#include <limits>
#include <set>

#include "updater/tuf/name.h"

namespace hostos::tuf {
namespace {

constexpr int kMaxDepth = 64;

bool IsInteger(const Json& json) {
  return json.is_number_integer() && (!json.is_number_unsigned() ||
                                      json.get<uint64_t>() <= std::numeric_limits<int64_t>::max());
}

// Watches the parser and keeps the first thing that JSON allows but TUF's JSON here must not have.
class Strict {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    using enum Json::parse_event_t;
    if (!problem_.empty()) return false;
    if ((event == object_start || event == array_start) && depth >= kMaxDepth) {
      problem_ = std::format("expected at most {} levels, found more", kMaxDepth);
    } else if (event == object_start) {
      names_.emplace_back();
    } else if (event == object_end) {
      names_.pop_back();
    } else if (event == key && !names_.back().insert(parsed.get<std::string>()).second) {
      problem_ = std::format("expected every name once in an object, found '{}' twice",
                             EncodeName(parsed.get<std::string>()));
    } else if (event == value && parsed.is_number() && !IsInteger(parsed)) {
      problem_ = std::format("expected integers of 64 bits, found {}", parsed.dump());
    }
    return problem_.empty();
  }

  const std::string& problem() const { return problem_; }

 private:
  std::string problem_;
  std::vector<std::set<std::string>> names_;  // of the open objects
};

void AppendString(std::string& out, const std::string& text) {
  out += '"';
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

void Append(std::string& out, const Json& json) {
  const char* separator = "";
  if (json.is_object()) {
    out += '{';
    for (const auto& [name, value] : json.items()) {  // sorted: it is a std::map
      out += std::exchange(separator, ",");
      AppendString(out, name);
      out += ':';
      Append(out, value);
    }
    out += '}';
  } else if (json.is_array()) {
    out += '[';
    for (const Json& item : json) {
      out += std::exchange(separator, ",");
      Append(out, item);
    }
    out += ']';
  } else if (json.is_string()) {
    AppendString(out, json.get_ref<const std::string&>());
  } else {
    out += json.dump();  // null, true, false, an integer
  }
}

}  // namespace

Result<Json> ParseJson(std::string_view text, size_t cap) {
  if (text.size() > cap) {
    return Fail(Code::kNotTrusted, "expected at most {} bytes, found {}", cap, text.size());
  }
  // The parser would skip a byte order mark and stop at a zero byte.
  if (text.starts_with("\xEF\xBB\xBF") || text.contains('\0')) {
    return Fail(Code::kNotTrusted, "expected JSON, found a byte that has no place in it");
  }
  Strict strict;
  Json json = Json::parse(text, std::ref(strict), /*allow_exceptions=*/false);
  if (!strict.problem().empty()) return Fail(Code::kNotTrusted, "{}", strict.problem());
  if (json.is_discarded()) return Fail(Code::kNotTrusted, "expected JSON, found something else");
  return json;
}

std::string CanonicalJson(const Json& json) {
  std::string out;
  Append(out, json);
  return out;
}

Result<Object> Object::From(const Json& json, std::string where) {
  Object object(json, std::move(where));
  if (!json.is_object()) return object.Unexpected("", "an object", json);
  return object;
}

const Json& Object::Find(const char* key) const {
  static const Json absent;
  auto found = json_->find(key);
  return found == json_->end() ? absent : *found;
}

std::unexpected<Error> Object::Unexpected(std::string_view key, std::string_view expected,
                                          const Json& found) const {
  return Fail(Code::kNotTrusted, "{}{}{}: expected {}, found {}", where_, key.empty() ? "" : ".",
              key, expected, found.is_number() ? found.dump() : found.type_name());
}

Result<std::string> Object::Text(const char* key) const {
  const Json& value = Find(key);
  if (!value.is_string()) return Unexpected(key, "a string", value);
  return value.get<std::string>();
}

Result<int64_t> Object::Integer(const char* key, int64_t least) const {
  const Json& value = Find(key);
  if (!value.is_number() || value.get<int64_t>() < least) {
    return Unexpected(key, std::format("an integer from {}", least), value);
  }
  return value.get<int64_t>();
}

Result<bool> Object::Flag(const char* key) const {
  const Json& value = Find(key);
  if (!value.is_boolean()) return Unexpected(key, "true or false", value);
  return value.get<bool>();
}

Result<std::vector<std::string>> Object::Texts(const char* key) const {
  const Json& value = Find(key);
  if (!value.is_array()) return Unexpected(key, "an array of strings", value);
  std::vector<std::string> texts;
  for (const Json& item : value) {
    if (!item.is_string()) return Unexpected(key, "an array of strings", item);
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

Result<std::map<std::string, std::string>> Object::TextMap(const char* key) const {
  const Object map = TRY(Child(key));
  std::map<std::string, std::string> texts;
  for (const auto& [name, value] : map.json().items()) {
    if (!value.is_string()) return map.Unexpected(EncodeName(name), "a string", value);
    texts.emplace(name, value.get<std::string>());
  }
  return texts;
}

Result<Object> Object::Child(const char* key) const {
  return From(Find(key), where_ + "." + key);
}

Result<std::vector<Object>> Object::Children(const char* key) const {
  const Json& value = Find(key);
  if (!value.is_array()) return Unexpected(key, "an array", value);
  std::vector<Object> objects;
  for (const Json& item : value) {
    objects.push_back(TRY(From(item, std::format("{}.{}[{}]", where_, key, objects.size()))));
  }
  return objects;
}

Result<std::vector<std::pair<std::string, Object>>> Object::Members(const char* key) const {
  const Object map = TRY(Child(key));
  std::vector<std::pair<std::string, Object>> objects;
  for (const auto& [name, value] : map.json().items()) {
    objects.emplace_back(name, TRY(From(value, map.where() + "." + EncodeName(name))));
  }
  return objects;
}

}  // namespace hostos::tuf

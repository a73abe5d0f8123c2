#include "images/staged_change.h"

#include <algorithm>

#include "images/tuf_fields.h"
#include "updater/tuf/key.h"
#include "updater/tuf/name.h"

namespace hostos {
namespace {

// Removes a member and returns it, null if it is missing. Also removes the object if that was its
// last member.
tuf::Json Take(tuf::Json& parent, const std::string& object, const std::string& member) {
  const auto found = parent.is_object() ? parent.find(object) : parent.end();
  if (found == parent.end() || !found->is_object() || !found->contains(member)) return {};
  tuf::Json taken = std::move((*found)[member]);
  found->erase(member);
  if (found->empty()) parent.erase(found);
  return taken;
}

// Adds every leaf below `json`. Encoded names contain no '/', '[' or ' ', so no two paths collide.
void AddLeaves(Facts& facts, const std::string& name, const tuf::Json& json) {
  if (!name.empty() && (json.empty() || !json.is_structured())) facts[name] = json;
  if (json.is_object())
    for (const auto& [key, value] : json.items())
      AddLeaves(facts, (name.empty() ? "" : name + "/") + tuf::EncodeName(key), value);
  if (json.is_array())
    for (size_t i = 0; i < json.size(); i++)
      AddLeaves(facts, std::format("{}[{}]", name, i), json[i]);
}

// The key as its *.pub file has it, for people who compare; absent if it is no such key.
std::optional<std::string> PublicOf(const tuf::Json& keys, const std::string& id) {
  const tuf::Json key = keys.value(id, tuf::Json());
  PublicKey half;
  if (key.is_object())
    half.bytes = tuf::DecodeHex(TextIn(key.value("keyval", tuf::Json()), "public"));
  if (half.bytes.empty() || PublicJson(half) != key || KeyId(half) != id) return std::nullopt;
  const std::string text = half.Text();
  return text.substr(0, text.find('\n'));
}

// Takes out who signs for a role: each key by its bytes, whatever name it has.
void TakeSigners(Facts& facts, tuf::Json& body, const tuf::Json& whole, const std::string& role) {
  if (!body.contains("roles") || !body["roles"].contains(role)) return;
  const tuf::Json keys = whole.value("keys", tuf::Json::object());
  facts["threshold of " + role] = Take(body["roles"], role, "threshold");
  for (const tuf::Json& keyid : Take(body["roles"], role, "keyids")) {
    const std::string id = keyid.get<std::string>(), name = NameOf(whole, id);
    const std::optional<std::string> half = PublicOf(keys, id);
    facts[std::format("key of {} {}", role, half.value_or(tuf::EncodeName(id)))] =
        half ? tuf::Json(name) : keys.value(id, tuf::Json());
    if (half) (void)Take(body, "keys", id);
    if (half && body.contains(kNamesKey) && TextIn(body[kNamesKey], id) == name)
      (void)Take(body, kNamesKey, id);
  }
  if (body["roles"].empty()) body.erase("roles");
}

// "hostos/x86-64/stable.json" is a channel's newest release, ".../stable/1.4.0.json" any of its
// releases.
Result<> AddTarget(Facts& facts, const std::string& path, const tuf::Json& target,
                   const ReadRelease& read) {
  constexpr std::string_view kEnd = ".json";
  const auto depth = std::ranges::count(path, '/');
  if (!path.ends_with(kEnd) || depth < 2 || depth > 3) {
    facts["target " + tuf::EncodePath(path)] = target;
    return {};
  }
  const std::optional<ReleaseTarget> release = TRY(read(path, target));
  tuf::Json fact = target;
  if (release) {
    fact["version"] = release->version;
    fact["index"] = release->index;
    fact["minimum_index"] = release->minimum_index;
    fact["commit"] = release->commit.Hex();
  }
  const std::string name = tuf::EncodePath(path.substr(0, path.size() - kEnd.size()));
  if (target.size() > 2) facts["target " + tuf::EncodePath(path)] = target;  // it has more
  facts[(depth == 2 ? "newest " : "release ") + name] = std::move(fact);
  return {};
}

// The value on one line, in ASCII.
std::string TextOf(const tuf::Json& value) {
  if (value.is_object()) {
    std::string text;
    for (const auto& [name, each] : value.items())
      text += std::format("{}{} {}", text.empty() ? "" : ", ", tuf::EncodeName(name), TextOf(each));
    return text;
  }
  const bool plain =
      value.is_string() && std::ranges::all_of(value.get_ref<const std::string&>(),
                                               [](char c) { return c > ' ' && c <= '~'; });
  return plain ? value.get<std::string>() : value.dump(-1, ' ', /*ensure_ascii=*/true);
}

}  // namespace

Result<Facts> FactsOf(tuf::Json body, const ReadRelease& read) {
  Facts facts;
  for (const char* known : {"_type", "version", kAfterKey}) body.erase(known);
  const tuf::Json whole = body;
  for (const std::string& role : kTufRoles) {
    TakeSigners(facts, body, whole, role);
    if (tuf::Json days = Take(body, kDaysKey, role); !days.is_null())
      facts["days of " + role] = std::move(days);
  }
  for (const auto& [member, what] :
       {std::pair(kIndexKey, "last index of "), {kMinimumKey, "minimum index of "}}) {
    const tuf::Json numbers = body.value(member, tuf::Json::object());
    if (!numbers.is_object()) continue;
    for (const auto& [name, number] : numbers.items())
      facts[what + tuf::EncodePath(name)] = Take(body, member, name);
  }
  const tuf::Json targets = body.value("targets", tuf::Json::object());
  for (const auto& [path, target] : targets.items()) {
    TRY(AddTarget(facts, path, target, read));
    (void)Take(body, "targets", path);
  }
  AddLeaves(facts, "", body);
  return facts;
}

std::vector<Change> Compare(const Facts& before, const Facts& after) {
  std::vector<Change> changes;
  for (const auto& [what, value] : after) {
    const auto old = before.find(what);
    if (old == before.end()) changes.push_back({what, {}, value});
    if (old != before.end() && old->second != value) changes.push_back({what, old->second, value});
  }
  for (const auto& [what, value] : before)
    if (!after.contains(what)) changes.push_back({what, value, {}});
  return changes;
}

std::string TextOf(const Change& change) {
  if (!change.before) return std::format("+ {}: {}", change.what, TextOf(*change.after));
  if (!change.after) return std::format("- {}: {}", change.what, TextOf(*change.before));
  return std::format("~ {}: {} -> {}", change.what, TextOf(*change.before), TextOf(*change.after));
}

}  // namespace hostos

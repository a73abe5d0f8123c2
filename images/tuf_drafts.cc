// The next versions of roles: a new root, and what follows from a change.
#include <algorithm>
#include <array>
#include <filesystem>

#include "images/role_file.h"
#include "images/tuf_repository.h"
#include "updater/base/clock.h"
#include "updater/release/commit.h"
#include "updater/tuf/trust.h"

namespace hostos {
namespace {

constexpr std::array<uint32_t, kTufRoles.size()> kDays = {365, 180, 60, 7};

Result<> ChangeRole(tuf::Json& root, const std::string& name, const RoleChange& change) {
  tuf::Json& role = root["roles"][name];
  if (!change.keys.empty()) role["keyids"] = tuf::Json::array();
  for (const PublicKey& key : change.keys) {
    if (key.algorithm != Algorithm::kEd25519) continue;
    const std::string id = KeyId(key);
    if (std::ranges::contains(role["keyids"], tuf::Json(id))) continue;
    root["keys"][id] = PublicJson(key);
    role["keyids"].push_back(id);
    const std::string file = std::filesystem::path(key.name).stem();
    if (IsValidName(file)) root[kNamesKey][id] = file;
  }
  if (change.threshold) role["threshold"] = *change.threshold;
  if (change.days) root[kDaysKey][name] = *change.days;
  const size_t keys = role["keyids"].size(), threshold = role["threshold"];
  if (threshold >= 1 && keys >= threshold) return {};
  return Fail(Code::kUsage,
              "role {}: expected at least as many ed25519 keys as its threshold ({}), "
              "found {}",
              name, threshold, keys);
}

// Removes keys that no role names any more.
void DropUnusedKeys(tuf::Json& root) {
  const auto unused = [&](const auto& key) {
    return std::ranges::none_of(root["roles"], [&](const tuf::Json& role) {
      return std::ranges::contains(role["keyids"], tuf::Json(key.first));
    });
  };
  std::erase_if(root["keys"].get_ref<tuf::Json::object_t&>(), unused);
  if (root.contains(kNamesKey))
    std::erase_if(root[kNamesKey].get_ref<tuf::Json::object_t&>(), unused);
}

}  // namespace

Result<> TufRepository::StageRoot(const std::map<std::string, RoleChange>& changes) {
  std::optional<Json> root = TRY(Next("root"));
  if (!root) {
    root = {{"consistent_snapshot", true}, {"keys", Json::object()}};
    for (size_t i = 0; i < kTufRoles.size(); i++) {
      (*root)["roles"][kTufRoles[i]] = {{"keyids", Json::array()}, {"threshold", 1}};
      (*root)[kDaysKey][kTufRoles[i]] = kDays[i];
    }
  }
  for (const std::string& role : kTufRoles) {
    const auto change = changes.find(role);
    TRY(ChangeRole(*root, role, change == changes.end() ? RoleChange{} : change->second));
  }
  DropUnusedKeys(*root);
  TRY(DraftNext("root", *std::move(root)));
  return Follow("targets");
}

// The staged root if there is one, else the published one; empty before the first.
Result<tuf::Json> TufRepository::RootBody() const {
  if (const auto draft = drafts_.find("root"); draft != drafts_.end()) return draft->second.body;
  return TRY(NewestBody("root")).value_or(Json::object());
}

// Whether the draft is the successor of what is published, and of nothing else.
Result<> TufRepository::CheckFollows(const std::string& role, const Draft& draft) const {
  const int64_t newest = TRY(Newest(role)), version = draft.body["version"];
  std::string before;
  if (newest > 0) before = Sha256::Of(AsBytes(TRY(NewestBytes(role)))).Hex();
  if (version == newest + 1 && TextIn(draft.body, kAfterKey) == before) return {};
  return Fail(Code::kRefused,
              "{}/staged/{}.json: expected the successor of the {} that is published, version {}, "
              "found version {} of another line: something was published after it was staged; "
              "hostimage abandon --repo {}, then stage it again",
              directory_, role, role, newest, version, directory_);
}

// The base for the role's next version: the staged one, else the last published one.
Result<std::optional<tuf::Json>> TufRepository::Next(const std::string& role) const {
  const auto draft = drafts_.find(role);
  if (draft == drafts_.end()) return NewestBody(role);
  TRY(CheckFollows(role, draft->second));
  return draft->second.body;
}

Result<tuf::Json> TufRepository::Targets() const {
  TRY(Root());
  return TRY(Next("targets")).value_or(Json{{"targets", Json::object()}});
}

// What snapshot and timestamp say about the newest version of a role.
Result<tuf::Json> TufRepository::Meta(const std::string& role) const {
  const std::string bytes = TRY(DocumentOf(role));
  const auto draft = drafts_.find(role);
  const int64_t version =
      draft == drafts_.end() ? TRY(Newest(role)) : draft->second.body["version"].get<int64_t>();
  return Json{{role + ".json",
               {{"version", version},
                {"length", bytes.size()},
                {"hashes", {{"sha256", Sha256::Of(AsBytes(bytes)).Hex()}}}}}};
}

Result<> TufRepository::DraftNext(const std::string& role, Json body) {
  if (const std::string before = NamedBy(role); !before.empty()) {
    const Json meta = TRY(Meta(before));
    body = Json{{"meta", meta}};
  }
  const int64_t newest = TRY(Newest(role));
  const Json root = role == "root" ? body : TRY(RootBody());
  body["_type"] = role;
  body["spec_version"] = "1.0.31";
  body["version"] = newest + 1;
  body["expires"] = FormatTimeIso(now_ + DaysOf(root, role) * kSecondsOfDay);
  if (!IsOnline(role) && newest > 0)
    body[kAfterKey] = Sha256::Of(AsBytes(TRY(NewestBytes(role)))).Hex();
  drafts_[role] = {std::move(body), {}};
  return {};
}

// Drafts a new version of a role if a change in the role before it, in the order of kTufRoles,
// requires it.
Result<> TufRepository::Follow(const std::string& role) {
  if (role == "root") return {};
  std::optional<Json> newest = TRY(NewestBody(role));
  bool due = !newest;
  const std::string before = NamedBy(role);
  const Json meta = before.empty() ? Json() : TRY(Meta(before));
  if (const auto draft = drafts_.find(role); draft != drafts_.end()) {
    // A timer may have published this version since it was staged on another machine.
    const bool next = !newest || draft->second.body["version"] > (*newest)["version"];
    if (before.empty() || (next && draft->second.body["meta"] == meta)) return {};
    drafts_.erase(draft);
  }
  due = due || (!before.empty() && (*newest)["meta"] != meta) ||
        (role == "timestamp" && !CheckTimestamp());
  if (!due) {  // its signers may have changed
    const std::string bytes = TRY(NewestBytes(role));
    const tuf::Header header = TRY(ParseRole(role, bytes));
    for (const Signers& each : TRY(SignersOf(role)))
      due = due || std::cmp_less(tuf::ValidSignatures(header, each.role), each.role.threshold);
  }
  if (!due) return {};
  return DraftNext(role, newest ? *std::move(newest) : Json{{"targets", Json::object()}});
}

}  // namespace hostos

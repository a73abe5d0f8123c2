// Signs what is staged, and renews what is due.
#include <algorithm>
#include <array>
#include <set>

#include "images/role_file.h"
#include "images/tuf_repository.h"
#include "updater/base/text.h"
#include "updater/tuf/trust.h"

namespace hostos {
namespace {

// In the order of kTufRoles.
constexpr std::array<tuf::Role tuf::Root::*, kTufRoles.size()> kSigners = {
    &tuf::Root::root, &tuf::Root::targets, &tuf::Root::snapshot, &tuf::Root::timestamp};

const tuf::Role& RoleIn(const tuf::Root& root, const std::string& role) {
  const auto place = std::ranges::find(kTufRoles, role) - kTufRoles.begin();
  return root.*kSigners.at(static_cast<size_t>(place));
}

}  // namespace

Result<SignResult> TufRepository::Sign(std::span<const SecretKey> keys) {
  if (!drafts_.contains("root")) TRY(Root());
  for (const std::string& role : kTufRoles) {
    if (IsOnline(role)) continue;
    if (const auto draft = drafts_.find(role); draft != drafts_.end())
      TRY(CheckFollows(role, draft->second));
    TRY(Follow(role));
  }
  TRY(CheckKeys(keys));
  SignResult result = TRY(SignAll(keys));
  const bool root_waits = std::ranges::contains(result.missing, "root", &StagedRole::role);
  if (!root_waits || !drafts_.contains("targets") || TRY(Newest("root")) == 0) return result;
  const std::optional<Json> published = TRY(NewestBody("targets"));
  if (published && (*published)["targets"] == drafts_["targets"].body["targets"]) return result;
  // A root that still lacks people's signatures must not hold up a release that is valid without
  // it.
  aside_.insert(drafts_.extract("root"));
  const SignResult release = TRY(SignAll(keys));
  drafts_.insert(aside_.extract("root"));
  if (release.published.empty()) return result;
  TRY(Follow("targets"));
  result = TRY(SignAll(keys));
  result.published.insert(result.published.begin(), release.published.begin(),
                          release.published.end());
  return result;
}

Result<SignResult> TufRepository::Renew(const std::string& role, std::span<const SecretKey> keys) {
  if (!std::ranges::contains(kTufRoles, role))
    return Fail(Code::kUsage, "expected root, targets, snapshot or timestamp, found \"{}\"", role);
  // Sets aside what people have staged: it is theirs to publish.
  aside_ = std::exchange(drafts_, {});
  std::erase_if(aside_, [](const auto& draft) { return IsOnline(draft.first); });
  if (aside_.contains(role))
    return Fail(Code::kRefused,
                "{}: expected no {} that is staged, found version {}, which counts for longer once "
                "it is signed: hostimage sign, or hostimage abandon",
                directory_, role, aside_[role].body["version"].get<int64_t>());
  std::set<std::string> renewed = {role};
  for (const PublishedRole& each : TRY(Published()))
    if (each.due <= now_ && !aside_.contains(each.role) && TRY(CanSign(each.role, keys)))
      renewed.insert(each.role);
  for (const std::string& each : kTufRoles) {
    if (!renewed.contains(each)) continue;
    std::optional<Json> body = TRY(NewestBody(each));
    if (!body) return Fail(Code::kNotFound, "{}: no {} was published yet", directory_, each);
    TRY(DraftNext(each, *std::move(body)));
  }
  TRY(CheckKeys(keys));
  SignResult result = TRY(SignAll(keys));
  drafts_.merge(aside_);
  return result;
}

Result<std::vector<TufRepository::Signers>> TufRepository::SignersOf(
    const std::string& role) const {
  std::vector<Signers> signers;
  const auto draft = drafts_.find("root");
  if (draft == drafts_.end() || (role == "root" && TRY(Newest("root")) > 0)) {
    const tuf::Root root = TRY(Root());
    signers.push_back(
        {role == "root" ? "the keys of the root before" : "the role's keys", RoleIn(root, role)});
  }
  if (draft != drafts_.end()) {
    const tuf::Root root = TRY(tuf::Root::Parse(Document(draft->second.body, {})));
    signers.push_back({"the role's keys", RoleIn(root, role)});
  }
  return signers;
}

// Whether the keys suffice for a next version of the role. A next root changes no keys here.
Result<bool> TufRepository::CanSign(const std::string& role,
                                    std::span<const SecretKey> keys) const {
  const tuf::Root root = TRY(Root());
  const tuf::Role& signers = RoleIn(root, role);
  std::set<std::string> ids;
  for (const SecretKey& key : keys) {
    const PublicKey half = TRY(key.Public());
    if (signers.keys.contains(KeyId(half))) ids.insert(KeyId(half));
  }
  return !std::cmp_less(ids.size(), signers.threshold);
}

// Runs before anything is written. A key of no role, or only of roles that need no signature now,
// is a mistake.
Result<> TufRepository::CheckKeys(std::span<const SecretKey> keys) const {
  if (keys.empty()) return {};
  std::set<std::string> needed;
  std::vector<std::string> roles, whose;
  for (const std::string& role : kTufRoles) {
    if (drafts_.empty() || (!drafts_.contains(role) && !IsOnline(role))) continue;
    roles.push_back(role);
    for (const Signers& each : TRY(SignersOf(role)))
      for (const auto& [id, key] : each.role.keys) needed.insert(id);
  }
  const Json root = TRY(RootBody()),
             before = TRY(NewestBody("root")).value_or(Json{{"keys", Json::object()}});
  bool useful = roles.empty();
  for (const SecretKey& key : keys) {
    const PublicKey half = TRY(key.Public());
    if (half.algorithm != Algorithm::kEd25519) continue;
    const std::string id = KeyId(half);
    if (!root["keys"].contains(id) && !before["keys"].contains(id))
      return Fail(
          Code::kUsage,
          "expected keys of the roles of {}, found one of none of them: its public half is {}",
          directory_, half.Text().substr(0, half.Text().find('\n')));
    useful = useful || needed.contains(id);
    whose.push_back(NameOf(root, id));
  }
  if (useful) return {};
  return Fail(Code::kUsage, "expected a key of {}, which this needs, found {}", Joined(roles),
              whose.empty() ? "no ed25519 key" : "the key of " + Joined(whose));
}

Result<> TufRepository::SignDraft(const std::string& role, std::span<const SecretKey> keys) {
  Draft& draft = drafts_.at(role);
  const std::vector<Signers> signers = TRY(SignersOf(role));
  const std::string payload = tuf::CanonicalJson(draft.body);
  for (const SecretKey& key : keys) {
    const PublicKey half = TRY(key.Public());
    if (half.algorithm != Algorithm::kEd25519) continue;
    const std::string id = KeyId(half);
    if (std::ranges::none_of(signers, [&](auto& each) { return each.role.keys.contains(id); }))
      continue;
    const std::string bytes = TRY(key.Sign(payload)).bytes;
    draft.signatures[id] =
        Hex(std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
  }
  return {};
}

// The document nodes will see: the draft with its valid signatures, else what is published.
Result<std::string> TufRepository::DocumentOf(const std::string& role) const {
  const auto draft = drafts_.find(role);
  if (draft == drafts_.end()) return NewestBytes(role);
  const std::string payload = tuf::CanonicalJson(draft->second.body);
  std::map<std::string, std::string> valid;
  for (const Signers& each : TRY(SignersOf(role)))
    for (const auto& [id, key] : each.role.keys)
      if (const auto made = draft->second.signatures.find(id);
          made != draft->second.signatures.end() &&
          key.Verifies(payload, tuf::DecodeHex(made->second)))
        valid.insert(*made);
  return Document(draft->second.body, valid);
}

Result<StagedRole> TufRepository::Look(const std::string& role) const {
  const std::string document = TRY(DocumentOf(role));
  const tuf::Header header = TRY(ParseRole(role, document));
  const Json root = TRY(RootBody());
  StagedRole staged;
  for (const Signers& each : TRY(SignersOf(role))) {
    staged = {role, header.version, each.whose, each.role.threshold, {}, {}};
    for (const auto& [id, key] : each.role.keys) {
      const bool signed_it = std::ranges::contains(header.signatures, id, &tuf::Signature::keyid);
      (signed_it ? staged.signed_by : staged.others).push_back(NameOf(root, id));
    }
    if (!staged.complete()) break;
  }
  return staged;
}

Result<SignResult> TufRepository::SignAll(std::span<const SecretKey> keys) {
  SignResult result;
  std::vector<std::string> later;
  for (const std::string& role : kTufRoles) {
    TRY(Follow(role));
    if (!drafts_.contains(role)) continue;
    if (IsOnline(role) && !result.missing.empty()) {  // it would name something incomplete
      result.missing.push_back(TRY(Look(role)));
      result.missing.back().version = 0;
      later.push_back(role);
      continue;
    }
    TRY(SignDraft(role, keys));
    if (const StagedRole staged = TRY(Look(role)); !staged.complete())
      result.missing.push_back(staged);
  }
  for (const std::string& role : later) drafts_.erase(role);
  if (!result.missing.empty()) {
    TRY(Keep());
    return result;
  }
  for (const std::string& role : kTufRoles)
    if (drafts_.contains(role)) result.published.push_back(role);
  TRY(Publish());
  return result;
}

}  // namespace hostos

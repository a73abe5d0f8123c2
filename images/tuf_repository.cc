#include "images/tuf_repository.h"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <set>

#include "bootctl/boot_control.h"
#include "images/metadata_files.h"
#include "images/tuf_fields.h"
#include "updater/base/atomic_file.h"
#include "updater/base/clock.h"
#include "updater/base/text.h"
#include "updater/source/commit.h"
#include "updater/tuf/trust.h"

namespace hostos {
namespace {

constexpr std::array<uint32_t, kTufRoles.size()> kDays = {365, 180, 60, 7};
constexpr const char* kLastTimestampFile = "/last-timestamp";  // its version, for this machine
constexpr uint64_t kSecondsOfDay = 86'400;

// In the order of kTufRoles.
constexpr std::array<tuf::Role tuf::Root::*, kTufRoles.size()> kSigners = {
    &tuf::Root::root, &tuf::Root::targets, &tuf::Root::snapshot, &tuf::Root::timestamp};

const tuf::Role& RoleIn(const tuf::Root& root, const std::string& role) {
  const auto place = std::ranges::find(kTufRoles, role) - kTufRoles.begin();
  return root.*kSigners.at(static_cast<size_t>(place));
}

Result<tuf::Header> Parse(const std::string& role, std::string_view bytes) {
  if (role == "root") return TRY(tuf::Root::Parse(bytes));
  if (role == "targets") return TRY(tuf::Targets::Parse(role, bytes));
  if (role == "snapshot") return TRY(tuf::Snapshot::Parse(bytes));
  return TRY(tuf::Timestamp::Parse(bytes));
}

struct RoleFile {
  std::string bytes;
  tuf::Json json;
};

// Once it was read as what it says it is; nothing when there is no file.
Result<std::optional<RoleFile>> ReadRoleFile(const std::string& path) {
  Result<std::string> bytes = ReadFile(path, tuf::kTargetsCap);
  if (!bytes && bytes.error().code == Code::kNotFound) return std::nullopt;
  RoleFile file{TRY(std::move(bytes)), {}};
  file.json = TRY_CONTEXT(path, tuf::ParseJson(file.bytes, tuf::kTargetsCap));
  const tuf::Object object = TRY_CONTEXT(path, tuf::Object::From(file.json, "file"));
  const tuf::Object body = TRY_CONTEXT(path, object.Child("signed"));
  const std::string type = TRY_CONTEXT(path, body.Text("_type"));
  TRY_CONTEXT(path, Parse(type, file.bytes));
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

// People sign these when something changes; the others follow, where the online key is.
bool IsOnline(const std::string& role) {
  return role == "snapshot" || role == "timestamp";
}

uint64_t NumberOr0(const tuf::Json& json) {
  return json.is_number_unsigned() ? json.get<uint64_t>() : 0;
}

std::string ChannelOf(const ReleaseTarget& release) {
  return ChannelTarget(release.product, release.architecture, release.channel);
}
std::string VersionOf(const ReleaseTarget& release) {
  return VersionTarget(release.product, release.architecture, release.channel, release.version);
}

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

// The role whose version this one names; "" when it names none.
std::string NamedBy(const std::string& role) {
  return role == "timestamp" ? "snapshot" : role == "snapshot" ? "targets" : "";
}

// For how long a version of the role counts.
uint64_t DaysOf(const tuf::Json& root, const std::string& role) {
  return root.contains(kDaysKey) ? root[kDaysKey].value(role, 1U) : 1U;
}

// Keys that no role names any more.
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

Result<> PutFile(const std::string& path, const std::string& content) {
  TRY(MakeDirectories(std::filesystem::path(path).parent_path()));
  return WriteFileAtomically(path, content);
}

}  // namespace

Result<TufRepository> TufRepository::Open(const std::string& directory, uint64_t now) {
  const std::string metadata = directory + "/metadata";
  if (::access(metadata.c_str(), F_OK) < 0)
    return Fail(Code::kNotFound,
                "{}: expected a repository with metadata, found none: hostimage root", directory);
  UniqueFd lock = TRY(hostos::Open(directory, O_RDONLY | O_DIRECTORY));
  if (::flock(lock.get(), LOCK_EX) < 0) return FailErrno(directory);
  TufRepository repository(directory, now, std::move(lock));
  for (const std::string& role : kTufRoles) TRY(repository.LoadDraft(role));
  return repository;
}

Result<TufRepository> TufRepository::Create(const std::string& directory, uint64_t now) {
  TRY(MakeDirectories(directory + "/metadata"));
  return Open(directory, now);
}

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

Result<ReleaseTarget> TufRepository::StageRelease(ReleaseTarget release) {
  for (const std::string& name :
       {release.product, release.architecture, release.channel, release.version})
    if (!IsValidName(name)) return Fail(Code::kUsage, "expected {}, found '{}'", kNameRule, name);
  Json targets = TRY(Targets());
  const std::string channel = ChannelOf(release);
  if (targets["targets"].contains(channel)) {
    const ReleaseTarget newest = TRY(ReadRelease(channel, targets["targets"][channel]));
    if (CompareVersions(release.version, newest.version) <= 0)
      return Fail(Code::kRefused, "{}: expected a version after the newest, {}, found {}", channel,
                  newest.version, release.version);
  }
  Json& minimum = targets[kMinimumKey][channel];
  release.minimum_index = std::max(release.minimum_index, NumberOr0(minimum));
  minimum = release.minimum_index;
  Json& last = targets[kIndexKey][release.product + "/" + release.architecture];
  release.index = std::max(NumberOr0(last) + 1, release.minimum_index);
  last = release.index;
  const int64_t version = TRY(Newest("targets")) + 1;
  const uint64_t most = static_cast<uint64_t>(version) * kMaxReleasesAtOnce;
  if (release.index > most)  // nodes refuse it too
    return Fail(Code::kRefused,
                "{}: expected an index of at most {} in version {} of targets, found {}",
                directory_, most, version, release.index);
  TRY(Put(targets, VersionOf(release), release));
  TRY(Put(targets, channel, release));
  TRY(DraftNext("targets", std::move(targets)));
  return release;
}

Result<std::optional<ReleaseTarget>> TufRepository::StageWithdrawal(const std::string& product,
                                                                    const std::string& architecture,
                                                                    const std::string& channel,
                                                                    const std::string& version) {
  Json targets = TRY(Targets());
  const std::string path = VersionTarget(product, architecture, channel, version);
  const std::string newest_path = ChannelTarget(product, architecture, channel);
  Json& all = targets["targets"];
  if (!all.contains(path))
    return Fail(Code::kNotFound, "{}: channel {} has no release {}", directory_, channel, version);
  const ReleaseTarget newest = TRY(ReadRelease(newest_path, all[newest_path]));
  all.erase(path);
  std::optional<ReleaseTarget> next = newest;
  if (newest.version == version) {
    all.erase(newest_path);
    next.reset();
    std::vector<ReleaseTarget> left = TRY(ReleasesIn(targets, newest_path));
    const uint64_t minimum = NumberOr0(targets[kMinimumKey][newest_path]);
    if (!left.empty() && left.back().index >= minimum) {
      next = left.back();
      next->minimum_index = minimum;
      TRY(Put(targets, newest_path, *next));
    }
  }
  TRY(DraftNext("targets", std::move(targets)));
  return next;
}

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
  // A root that people have yet to sign holds up no release that counts without it.
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
  // What people have staged is theirs to publish.
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

Result<std::vector<StagedRole>> TufRepository::Staged() const {
  std::vector<StagedRole> staged;
  for (const std::string& role : kTufRoles)
    if (drafts_.contains(role)) staged.push_back(TRY(Look(role)));
  return staged;
}

// By the keys of what nodes trust, from the oldest root on? A folder that somebody hands over may
// have anything in it.
Result<> TufRepository::CheckPublished() const {
  const std::vector<int64_t> versions = TRY(VersionsOf(directory_, "root"));
  std::optional<tuf::Root> root;
  for (const int64_t version : versions) {
    const std::string path = Metadata("root", version);
    const std::string bytes = TRY(ReadFile(path, tuf::kRootCap));
    root = TRY_CONTEXT(path, root ? tuf::TrustNextRoot(*root, bytes) : tuf::TrustFirstRoot(bytes));
  }
  const int64_t targets = TRY(Newest("targets"));
  if (!root || targets == 0) return {};
  const std::string bytes = TRY(NewestBytes("targets"));
  const tuf::Targets published = TRY(tuf::Targets::Parse("targets", bytes));
  TRY_CONTEXT(Metadata("targets", targets), tuf::CheckSignatures(published, root->targets));
  return {};
}

Result<Staging> TufRepository::Difference() const {
  TRY(CheckPublished());
  Staging staging;
  std::string drafts;
  for (const std::string& role : kTufRoles) {
    const auto draft = drafts_.find(role);
    if (draft == drafts_.end()) continue;
    drafts += std::format("{} {}\n", role, PayloadDigest(draft->second.body));
    staging.changes[role] = TRY_CONTEXT("staged " + role, ChangesOf(role, draft->second.body));
  }
  if (drafts.empty()) return staging;
  staging.digest = Sha256::Of(AsBytes(drafts)).Hex();
  const std::vector<int64_t> roots = TRY(VersionsOf(directory_, "root"));
  if (roots.empty()) return staging;
  const std::string first = TRY(ReadFile(Metadata("root", roots.front()), tuf::kRootCap));
  staging.root = {roots.front(), Sha256::Of(AsBytes(first)).Hex()};
  return staging;
}

Result<std::vector<Change>> TufRepository::ChangesOf(const std::string& role, Json body) const {
  Json before = TRY(NewestBody(role)).value_or(Json::object());
  // What stays as it is needs no file.
  const Json published =
      before.value(role, Json::object());  // only of targets there is such a member
  for (const auto& [path, target] : published.items())
    if (const auto same = body[role].find(path); same != body[role].end() && *same == target) {
      body[role].erase(path);
      before[role].erase(path);
    }
  const Facts old = TRY(FactsOf(std::move(before), [this](auto& path, auto& target) {
    const Result<ReleaseTarget> release = ReadRelease(path, target);
    return Result<std::optional<ReleaseTarget>>(release ? std::optional(*release) : std::nullopt);
  }));
  const auto carry_it = [](Error error) {
    if (error.code == Code::kNotFound) error.message += "; it is copied along with staged/";
    return error;
  };
  const auto read = [&](auto& path, auto& target) -> Result<std::optional<ReleaseTarget>> {
    return TRY(ReadRelease(path, target).transform_error(carry_it));
  };
  return Compare(old, TRY(FactsOf(std::move(body), read)));
}

Result<> TufRepository::Abandon() {
  drafts_.clear();
  return Forget();
}

Result<std::vector<PublishedRole>> TufRepository::Published() const {
  const tuf::Root root = TRY(Root());
  const std::optional<Json> body = TRY(NewestBody("root"));
  std::vector<PublishedRole> published;
  int64_t version = root.version;
  // A role's version is what the one behind it says; so from the last to the first.
  for (const char* role : {"root", "timestamp", "snapshot", "targets"}) {
    const std::optional<RoleFile> file = TRY(ReadRoleFile(Metadata(role, version)));
    if (!file) break;
    const tuf::Header header = TRY(Parse(role, file->bytes));
    PublishedRole each{tuf::Summary(header), 0};
    const uint64_t quarter = DaysOf(*body, role) * kSecondsOfDay / 4;
    each.due = each.expires - std::min(each.expires, quarter);
    published.push_back(std::move(each));
    if (const std::string next = NamedBy(role); !next.empty()) {
      const Json& meta = file->json["signed"]["meta"];
      if (!meta.contains(next + ".json")) break;
      version = meta[next + ".json"]["version"];
    }
  }
  const auto place = [](const PublishedRole& each) {
    return std::ranges::find(kTufRoles, each.role) - kTufRoles.begin();
  };
  std::ranges::sort(published, {}, place);
  return published;
}

Result<std::vector<ReleaseTarget>> TufRepository::Releases(const std::string& product,
                                                           const std::string& architecture,
                                                           const std::string& channel,
                                                           View view) const {
  TRY(Root());
  const std::optional<Json> targets =
      TRY(view == View::kStaged ? Next("targets") : NewestBody("targets"));
  if (!targets) return {};
  return ReleasesIn(*targets, ChannelTarget(product, architecture, channel));
}

// private -----------------------------------------------------------------------------------------

std::string TufRepository::Metadata(const std::string& role, int64_t version) const {
  if (role == "timestamp") return directory_ + "/metadata/timestamp.json";
  return std::format("{}/metadata/{}.{}.json", directory_, version, role);
}

// The number of its last published version; 0 when there is none. A mirror has not all of them.
Result<int64_t> TufRepository::Newest(const std::string& role) const {
  if (role == "timestamp") return std::max(TRY(TimestampVersion()), TRY(LastTimestamp()));
  const std::vector<int64_t> versions = TRY(VersionsOf(directory_, role));
  return versions.empty() ? 0 : versions.back();
}

Result<int64_t> TufRepository::TimestampVersion() const {
  const std::optional<RoleFile> file = TRY(ReadRoleFile(Metadata("timestamp", 0)));
  return file ? file->json["signed"]["version"].get<int64_t>() : 0;
}

// The last version that was made here. Its file has no number in its name, so an old copy of it can
// come back over it, which nodes refuse; then the next one is still the next one.
Result<int64_t> TufRepository::LastTimestamp() const {
  const Result<std::string> text = ReadFile(directory_ + kLastTimestampFile, 32);
  if (!text && text.error().code == Code::kNotFound) return 0;
  int64_t version = 0;
  const std::string digits = TRY(text);
  std::from_chars(digits.data(), digits.data() + digits.size(), version);
  return version;
}

Result<> TufRepository::CheckTimestamp() const {
  const int64_t found = TRY(TimestampVersion()), last = TRY(LastTimestamp());
  if (found >= last) return {};
  return Fail(Code::kNotTrusted,
              "{}: expected version {}, which was published last, found {}: an old copy came over "
              "it; hostimage renew timestamp --repo {} --key FILE",
              Metadata("timestamp", 0), last, found, directory_);
}

Result<std::string> TufRepository::NewestBytes(const std::string& role) const {
  return ReadFile(Metadata(role, TRY(Newest(role))), tuf::kTargetsCap);
}

Result<std::optional<tuf::Json>> TufRepository::NewestBody(const std::string& role) const {
  const int64_t newest = TRY(Newest(role));
  std::optional<RoleFile> file = TRY(ReadRoleFile(Metadata(role, newest)));
  if (!file) return std::nullopt;
  return std::move(file->json["signed"]);
}

// The next one when it is staged, else what nodes see; empty before the first.
Result<tuf::Json> TufRepository::RootBody() const {
  if (const auto draft = drafts_.find("root"); draft != drafts_.end()) return draft->second.body;
  return TRY(NewestBody("root")).value_or(Json::object());
}

// As nodes see it.
Result<tuf::Root> TufRepository::Root() const {
  if (TRY(Newest("root")) == 0)
    return Fail(Code::kNotFound, "{}: no root was published yet: hostimage root", directory_);
  return tuf::TrustFirstRoot(TRY(NewestBytes("root")));
}

Result<std::vector<TufRepository::Signers>> TufRepository::SignersOf(
    const std::string& role) const {
  std::vector<Signers> signers;
  const auto draft = drafts_.find("root");
  if (draft == drafts_.end() || (role == "root" && TRY(Newest("root")) > 0))
    signers.push_back({role == "root" ? "the keys of the root before" : "the role's keys",
                       RoleIn(TRY(Root()), role)});
  if (draft != drafts_.end())
    signers.push_back(
        {"the role's keys", RoleIn(TRY(tuf::Root::Parse(Document(draft->second.body, {}))), role)});
  return signers;
}

// A colleague's run may have published it meanwhile, and a copy have brought it; that is no draft.
Result<> TufRepository::LoadDraft(const std::string& role) {
  const std::string path = std::format("{}/staged/{}", directory_, role);
  std::optional<RoleFile> file = TRY(ReadRoleFile(path + ".json"));
  if (!file) return {};
  Draft draft{std::move(file->json["signed"]), {}};
  if (TextIn(draft.body, "_type") != role)
    return Fail(Code::kFailed, "{}.json: expected metadata of {}, found some of {}", path, role,
                TextIn(draft.body, "_type"));
  const int64_t version = draft.body["version"];
  const std::optional<RoleFile> public_one = TRY(ReadRoleFile(Metadata(role, version)));
  if (public_one && public_one->json["signed"] == draft.body) return {};
  const std::string payload = PayloadDigest(draft.body);
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory_ + "/staged", error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (!name.starts_with(role + ".") || name == role + ".json") continue;
    const std::string text = TRY(ReadFile(entry->path(), tuf::kTimestampCap));
    const Json json = tuf::ParseJson(text, tuf::kTimestampCap).value_or(Json());
    const std::string keyid = TextIn(json, "keyid");  // it becomes part of a file's name again
    if (TextIn(json, "payload") == payload && Digest::FromHex(keyid))
      draft.signatures[keyid] = TextIn(json, "sig");
  }
  if (error) return FailErrno(directory_ + "/staged", error.value());
  drafts_[role] = std::move(draft);
  return {};
}

// Is it the successor of what is published, and of nothing else?
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

// What the next version of a role is made from: the staged one, else the last published one.
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

// What snapshot and timestamp say of the newest version of a role.
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

// Makes a draft of a role when what comes before it, in the order of the roles, calls for it.
Result<> TufRepository::Follow(const std::string& role) {
  if (role == "root") return {};
  std::optional<Json> newest = TRY(NewestBody(role));
  bool due = !newest;
  const std::string before = NamedBy(role);
  const Json meta = before.empty() ? Json() : TRY(Meta(before));
  if (const auto draft = drafts_.find(role); draft != drafts_.end()) {
    // A timer may have published this version since it was staged on somebody's machine.
    const bool next = !newest || draft->second.body["version"] > (*newest)["version"];
    if (before.empty() || (next && draft->second.body["meta"] == meta)) return {};
    drafts_.erase(draft);
  }
  due = due || (!before.empty() && (*newest)["meta"] != meta) ||
        (role == "timestamp" && !CheckTimestamp());
  if (!due) {  // who signs it may have changed
    const std::string bytes = TRY(NewestBytes(role));
    const tuf::Header header = TRY(Parse(role, bytes));
    for (const Signers& each : TRY(SignersOf(role)))
      due = due || std::cmp_less(tuf::ValidSignatures(header, each.role), each.role.threshold);
  }
  if (!due) return {};
  return DraftNext(role, newest ? *std::move(newest) : Json{{"targets", Json::object()}});
}

// Are they enough for a next version of the role? That of a root changes no keys here.
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

// Before anything is written: a key that is nobody's, or of nobody whom this needs, is a mistake.
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

// As nodes will see it: the draft with those of its signatures that hold, else what is published.
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
  const tuf::Header header = TRY(Parse(role, document));
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
    if (IsOnline(role) && !result.missing.empty()) {  // it names what is not complete yet
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

// What lacks signatures, for the next one who signs.
Result<> TufRepository::Keep() const {
  for (const auto& [path, content] : contents_) TRY(PutFile(path, content));
  for (const char* carried : {"/staged", "/targets"}) TRY(MakeDirectories(directory_ + carried));
  for (const auto& [role, draft] : drafts_) {
    const std::string path = std::format("{}/staged/{}.", directory_, role);
    TRY(WriteFileAtomically(path + "json", Document(draft.body, {})));
    for (const auto& [id, bytes] : draft.signatures) {
      const Json json = {{"keyid", id}, {"sig", bytes}, {"payload", PayloadDigest(draft.body)}};
      TRY(WriteFileAtomically(path + id.substr(0, 16) + ".json", json.dump(1) + "\n"));
    }
  }
  return Forget();
}

// The files of what is staged no longer: signatures first, as they say nothing alone.
Result<> TufRepository::Forget() const {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory_ + "/staged", error), end;
       !error && entry != end; entry.increment(error))
    names.push_back(entry->path().filename());
  if (error && error != std::errc::no_such_file_or_directory)
    return FailErrno(directory_ + "/staged", error.value());
  std::ranges::sort(names, std::ranges::greater(), &std::string::size);
  for (const std::string& name : names) {
    const std::string role = name.substr(0, name.find('.'));
    if (name.ends_with(".json") && !drafts_.contains(role) && !aside_.contains(role))
      TRY(RemoveFileDurably(directory_ + "/staged/" + name));
  }
  return {};
}

Result<> TufRepository::Publish() {
  std::map<std::string, std::string> files;
  for (const auto& [role, draft] : drafts_) {
    const std::string path = Metadata(role, draft.body["version"]);
    if (role != "timestamp" && ::access(path.c_str(), F_OK) == 0)
      return Fail(Code::kRefused,
                  "{}: expected no file there, found one, which nodes may have seen", path);
    files[std::filesystem::path(path).filename()] = TRY(DocumentOf(role));
  }
  for (const auto& [path, content] : contents_) TRY(PutFile(path, content));
  if (const auto timestamp = drafts_.find("timestamp"); timestamp != drafts_.end())
    TRY(WriteFileAtomically(directory_ + kLastTimestampFile,
                            timestamp->second.body["version"].dump() + "\n"));
  TRY(PublishMetadata(directory_, files));
  drafts_.clear();
  contents_.clear();
  return Forget();
}

Result<> TufRepository::Put(Json& targets, const std::string& path, const ReleaseTarget& release) {
  const std::string content = WriteReleaseTarget(release);
  const std::string sha256 = Sha256::Of(AsBytes(content)).Hex();
  contents_[directory_ + "/targets/" + HashedPath(path, sha256)] = content;
  targets["targets"][path] = {{"length", content.size()}, {"hashes", {{"sha256", sha256}}}};
  return {};
}

Result<ReleaseTarget> TufRepository::ReadRelease(const std::string& path,
                                                 const Json& target) const {
  const tuf::Object object = TRY(tuf::Object::From(target, path));
  const tuf::Object hashes = TRY(object.Child("hashes"));
  const std::string sha256 = TRY(hashes.Text("sha256"));
  const std::string file = directory_ + "/targets/" + HashedPath(path, sha256);
  const auto staged = contents_.find(file);
  const std::string bytes =
      staged != contents_.end() ? staged->second : TRY(ReadFile(file, kMaxReleaseTargetBytes));
  const tuf::FileInfo info{static_cast<uint64_t>(TRY(object.Integer("length", 0))),
                           {{"sha256", sha256}}};
  TRY_CONTEXT(file, tuf::CheckFile(info, bytes));
  const ReleaseTarget release = TRY_CONTEXT(file, ParseReleaseTarget(bytes));
  if (path == ChannelOf(release) || path == VersionOf(release)) return release;
  return Fail(Code::kNotTrusted, "{}: expected the release of this name, found {}", path,
              VersionOf(release));
}

// `channel` is the target of its newest release.
Result<std::vector<ReleaseTarget>> TufRepository::ReleasesIn(const Json& targets,
                                                             const std::string& channel) const {
  std::vector<ReleaseTarget> releases;
  const std::string prefix =
      channel.substr(0, channel.size() - std::string_view(".json").size()) + "/";
  for (const auto& [path, target] : targets["targets"].items())
    if (path.starts_with(prefix)) releases.push_back(TRY(ReadRelease(path, target)));
  std::ranges::sort(releases, {}, &ReleaseTarget::index);
  return releases;
}

}  // namespace hostos

#include "images/tuf_repository.h"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "bootctl/boot_control.h"
#include "updater/base/atomic_file.h"
#include "updater/base/clock.h"
#include "updater/tuf/trust.h"

namespace hostos {
namespace {

constexpr std::array<uint32_t, kTufRoles.size()> kDays = {365, 180, 60, 7};
constexpr const char* kDaysKey = "x-hostos-days";        // in root: role to days
constexpr const char* kIndexKey = "x-hostos-index";      // in targets: the last index given
constexpr const char* kMinimumKey = "x-hostos-minimum";  // in targets: channel to least index
constexpr uint64_t kSecondsOfDay = 86'400;

tuf::Json PublicJson(const PublicKey& key) {
  const std::span raw(reinterpret_cast<const uint8_t*>(key.bytes.data()), key.bytes.size());
  return {{"keytype", "ed25519"}, {"scheme", "ed25519"}, {"keyval", {{"public", Hex(raw)}}}};
}

std::string KeyId(const PublicKey& key) {
  return Sha256::Of(AsBytes(tuf::CanonicalJson(PublicJson(key)))).Hex();
}

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

std::string Document(const tuf::Json& body, const tuf::Json& signatures) {
  return tuf::Json{{"signatures", signatures}, {"signed", body}}.dump(1) + "\n";
}

uint64_t NumberOr0(const tuf::Json& json) {
  return json.is_number_unsigned() ? json.get<uint64_t>() : 0;
}

// "<directory>/<sha256>.<name>": where consistent snapshots have a target.
std::string HashedPath(const std::string& path, const std::string& sha256) {
  const size_t name = path.rfind('/') + 1;
  return path.substr(0, name) + sha256 + "." + path.substr(name);
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
  std::erase_if(root["keys"].get_ref<tuf::Json::object_t&>(), [&](const auto& key) {
    return std::ranges::none_of(root["roles"], [&](const tuf::Json& role) {
      return std::ranges::contains(role["keyids"], tuf::Json(key.first));
    });
  });
}

}  // namespace

Result<TufRepository> TufRepository::Open(const std::string& directory, uint64_t now) {
  for (const char* part : {"metadata", "targets", "staged"})
    TRY(MakeDirectories(directory + "/" + part));
  UniqueFd lock = TRY(hostos::Open(directory + "/staged", O_RDONLY | O_DIRECTORY));
  if (::flock(lock.get(), LOCK_EX) < 0) return FailErrno(directory + "/staged");
  return TufRepository(directory, now, std::move(lock));
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
  return Stage("root", *std::move(root));
}

Result<std::optional<Unsigned>> TufRepository::Renew(const std::string& role,
                                                     std::span<const SecretKey> keys) {
  if (!std::ranges::contains(kTufRoles, role))
    return Fail(Code::kUsage, "expected root, targets, snapshot or timestamp, found \"{}\"", role);
  std::set<std::string> renewed = {role};
  for (const PublishedRole& each : TRY(Published())) {
    // What people have staged of a role is theirs to publish.
    const bool waits = NamedBy(each.role).empty() && ::access(Staged(each.role).c_str(), F_OK) == 0;
    if (each.due <= now_ && !waits && TRY(CanSign(each.role, keys))) renewed.insert(each.role);
  }
  for (const std::string& each : kTufRoles) {
    if (!renewed.contains(each)) continue;
    std::optional<Json> body = TRY(Next(each));
    if (!body) return Fail(Code::kNotFound, "{}: no {} was published yet", directory_, each);
    if (const std::string before = NamedBy(each); !before.empty()) {
      const Json meta = TRY(Meta(before));
      body = Json{{"meta", meta}};
    }
    TRY(Stage(each, *std::move(body)));
    if (auto left = TRY(SignRole(each, keys))) return left;
  }
  const auto first = std::ranges::find_if(
      kTufRoles, [&](const std::string& each) { return renewed.contains(each); });
  return SignFrom(*first, keys);
}

Result<ReleaseTarget> TufRepository::StageRelease(ReleaseTarget release) {
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
  release.index = NumberOr0(last) + 1;
  last = release.index;
  if (release.minimum_index > release.index)
    return Fail(Code::kUsage, "minimum index: expected at most the release's own, {}, found {}",
                release.index, release.minimum_index);
  const auto version = static_cast<uint64_t>(TRY(Newest("targets")) + 1);
  if (release.index > version * kMaxReleasesAtOnce)  // nodes refuse it too
    return Fail(Code::kRefused, "{}: expected at most {} releases before all of them are signed",
                directory_, kMaxReleasesAtOnce);
  TRY(Put(targets, VersionOf(release), release));
  TRY(Put(targets, channel, release));
  TRY(Stage("targets", std::move(targets)));
  return release;
}

Result<> TufRepository::StageWithdrawal(const std::string& product, const std::string& architecture,
                                        const std::string& channel, const std::string& version) {
  Json targets = TRY(Targets());
  const std::string path = VersionTarget(product, architecture, channel, version);
  const std::string newest_path = ChannelTarget(product, architecture, channel);
  Json& all = targets["targets"];
  if (!all.contains(path))
    return Fail(Code::kNotFound, "{}: channel {} has no release {}", directory_, channel, version);
  const ReleaseTarget newest = TRY(ReadRelease(newest_path, all[newest_path]));
  all.erase(path);
  if (newest.version == version) {
    all.erase(newest_path);
    std::vector<ReleaseTarget> left = TRY(ReleasesIn(targets, newest_path));
    const uint64_t minimum = NumberOr0(targets[kMinimumKey][newest_path]);
    if (!left.empty() && left.back().index >= minimum) {
      left.back().minimum_index = minimum;
      TRY(Put(targets, newest_path, left.back()));
    }
  }
  return Stage("targets", std::move(targets));
}

Result<std::optional<Unsigned>> TufRepository::Sign(std::span<const SecretKey> keys) {
  return SignFrom("root", keys);
}

Result<std::vector<PublishedRole>> TufRepository::Published() const {
  const tuf::Root root = TRY(Root());
  const std::optional<Json> body = TRY(Body(Metadata("root", root.version)));
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

Result<std::optional<Unsigned>> TufRepository::SignFrom(const std::string& first,
                                                        std::span<const SecretKey> keys) {
  for (auto role_at = std::ranges::find(kTufRoles, first); role_at != kTufRoles.end(); ++role_at) {
    const std::string& role = *role_at;
    TRY(Follow(role));
    if (::access(Staged(role).c_str(), F_OK) < 0) continue;
    if (auto left = TRY(SignRole(role, keys))) return left;
  }
  return std::nullopt;
}

Result<std::vector<ReleaseTarget>> TufRepository::Releases(const std::string& product,
                                                           const std::string& architecture,
                                                           const std::string& channel) const {
  const Json targets = TRY(Targets());
  return ReleasesIn(targets, ChannelTarget(product, architecture, channel));
}

// private -----------------------------------------------------------------------------------------

std::string TufRepository::Staged(const std::string& role) const {
  return std::format("{}/staged/{}.json", directory_, role);
}

std::string TufRepository::Metadata(const std::string& role, int64_t version) const {
  if (role == "timestamp") return directory_ + "/metadata/timestamp.json";
  return std::format("{}/metadata/{}.{}.json", directory_, version, role);
}

// The number of its last published version; 0 when there is none.
Result<int64_t> TufRepository::Newest(const std::string& role) const {
  if (role == "timestamp") {
    const std::optional<Json> body = TRY(Body(Metadata(role, 0)));
    return body ? (*body)["version"].get<int64_t>() : 0;
  }
  int64_t newest = 0;
  while (::access(Metadata(role, newest + 1).c_str(), F_OK) == 0) newest++;
  return newest;
}

Result<tuf::Root> TufRepository::Root() const {
  const int64_t version = TRY(Newest("root"));
  if (version == 0)
    return Fail(Code::kNotFound, "{}: no root was published yet: hostimage root", directory_);
  const std::string bytes = TRY(ReadFile(Metadata("root", version), tuf::kRootCap));
  return tuf::TrustFirstRoot(bytes);
}

// What a file signs; nothing when there is no file.
Result<std::optional<tuf::Json>> TufRepository::Body(const std::string& path) const {
  const std::optional<RoleFile> file = TRY(ReadRoleFile(path));
  if (!file) return std::nullopt;
  return file->json["signed"];
}

// What the next version of a role is made from: the staged one, else the last published one.
Result<std::optional<tuf::Json>> TufRepository::Next(const std::string& role) const {
  if (auto staged = TRY(Body(Staged(role)))) return staged;
  const int64_t newest = TRY(Newest(role));
  return Body(Metadata(role, newest));
}

Result<tuf::Json> TufRepository::Targets() const {
  TRY(Root());
  return TRY(Next("targets")).value_or(Json{{"targets", Json::object()}});
}

// What snapshot and timestamp say of the last published version of a role.
Result<tuf::Json> TufRepository::Meta(const std::string& role) const {
  const int64_t version = TRY(Newest(role));
  const std::string bytes = TRY(ReadFile(Metadata(role, version), tuf::kTargetsCap));
  return Json{{role + ".json",
               {{"version", version},
                {"length", bytes.size()},
                {"hashes", {{"sha256", Sha256::Of(AsBytes(bytes)).Hex()}}}}}};
}

// Stages a new version of a role when what came before it, in the order of the roles, calls for it.
Result<> TufRepository::Follow(const std::string& role) {
  if (role == "root") return {};
  const tuf::Root root = TRY(Root());
  const std::optional<Json> next = TRY(Next(role));
  Json body = next.value_or(Json{{"targets", Json::object()}});
  bool due = !next;
  if (const std::string before = NamedBy(role); !before.empty()) {
    const Json meta = TRY(Meta(before));
    due = due || body["meta"] != meta;
    body = {{"meta", meta}};
  }
  if (!due && ::access(Staged(role).c_str(), F_OK) < 0) {  // who signs it may have changed
    const std::string path = Metadata(role, TRY(Newest(role)));
    const std::string bytes = TRY(ReadFile(path, tuf::kTargetsCap));
    const tuf::Header header = TRY(Parse(role, bytes));
    const tuf::Role& signers = RoleIn(root, role);
    due = std::cmp_less(tuf::ValidSignatures(header, signers), signers.threshold);
  }
  return due ? Stage(role, std::move(body)) : Result<>();
}

Result<> TufRepository::Stage(const std::string& role, Json body) {
  const std::string newest = Metadata("root", TRY(Newest("root")));
  const Json root = role == "root" ? body : *TRY(Body(newest));
  const uint64_t days = DaysOf(root, role);
  body["_type"] = role;
  body["spec_version"] = "1.0.31";
  body["version"] = TRY(Newest(role)) + 1;
  body["expires"] = FormatTimeIso(now_ + days * kSecondsOfDay);
  return WriteFileAtomically(Staged(role), Document(body, Json::array()));
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

Result<std::optional<Unsigned>> TufRepository::SignRole(const std::string& role,
                                                        std::span<const SecretKey> keys) {
  const std::string path = Staged(role);
  std::optional<RoleFile> staged = TRY(ReadRoleFile(path));
  const Json& body = staged->json["signed"];
  Json& signatures = staged->json["signatures"];
  std::vector<std::pair<std::string, tuf::Role>> signers;
  const int64_t roots = TRY(Newest("root"));
  if (roots > 0) {
    const std::string whose = role == "root" ? "the keys of the root before" : "the role's keys";
    signers.emplace_back(whose, RoleIn(TRY(Root()), role));
  }
  if (role == "root")
    signers.emplace_back("the role's keys", TRY(tuf::Root::Parse(staged->bytes)).root);

  const std::string payload = tuf::CanonicalJson(body);
  for (const SecretKey& key : keys) {
    const PublicKey half = TRY(key.Public());
    if (half.algorithm != Algorithm::kEd25519) continue;
    const std::string id = KeyId(half);
    if (std::ranges::none_of(signers, [&](auto& each) { return each.second.keys.contains(id); }))
      continue;
    std::erase_if(signatures.get_ref<Json::array_t&>(),
                  [&](const Json& signature) { return signature["keyid"] == id; });
    const std::string bytes = TRY(key.Sign(payload)).bytes;
    const std::span raw(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    signatures.push_back({{"keyid", id}, {"sig", Hex(raw)}});
  }

  const std::string document = Document(body, signatures);
  const tuf::Header header = TRY(Parse(role, document));
  for (const auto& [whose, signer] : signers) {
    const size_t valid = tuf::ValidSignatures(header, signer);
    if (!std::cmp_less(valid, signer.threshold)) continue;
    TRY(WriteFileAtomically(path, document));
    return Unsigned{role, whose, valid, signer.threshold};
  }
  TRY(WriteFileAtomically(Metadata(role, header.version), document));
  TRY(RemoveFileDurably(path));
  return std::nullopt;
}

Result<> TufRepository::Put(Json& targets, const std::string& path, const ReleaseTarget& release) {
  const std::string content = WriteReleaseTarget(release);
  const std::string sha256 = Sha256::Of(AsBytes(content)).Hex();
  const std::filesystem::path file = directory_ + "/targets/" + HashedPath(path, sha256);
  TRY(MakeDirectories(file.parent_path()));
  TRY(WriteFileAtomically(file, content));
  targets["targets"][path] = {{"length", content.size()}, {"hashes", {{"sha256", sha256}}}};
  return {};
}

Result<ReleaseTarget> TufRepository::ReadRelease(const std::string& path,
                                                 const Json& target) const {
  const tuf::Object object = TRY(tuf::Object::From(target, path));
  const tuf::Object hashes = TRY(object.Child("hashes"));
  const std::string sha256 = TRY(hashes.Text("sha256"));
  const std::string file = directory_ + "/targets/" + HashedPath(path, sha256);
  const std::string bytes = TRY(ReadFile(file, kMaxReleaseTargetBytes));
  return TRY_CONTEXT(file, ParseReleaseTarget(bytes));
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

// The releases of channels: staged, withdrawn and listed.
#include <algorithm>

#include "bootctl/boot_control.h"
#include "images/tuf_repository.h"
#include "updater/release/commit.h"
#include "updater/tuf/trust.h"

namespace hostos {
namespace {

uint64_t NumberOr0(const tuf::Json& json) {
  return json.is_number_unsigned() ? json.get<uint64_t>() : 0;
}

std::string ChannelOf(const ReleaseTarget& release) {
  return ChannelTarget(release.product, release.architecture, release.channel);
}
std::string VersionOf(const ReleaseTarget& release) {
  return VersionTarget(release.product, release.architecture, release.channel, release.version);
}

}  // namespace

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
  if (release.index > most)  // nodes would refuse it too
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

Result<> TufRepository::Put(Json& targets, const std::string& path, const ReleaseTarget& release) {
  const std::string content = WriteReleaseTarget(release);
  if (const Result<ReleaseTarget> read = ParseReleaseTarget(content); !read)
    return Fail(Code::kRefused, "{}: nodes would refuse it: {}", path, read.error().message);
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

// `channel` is the target of the channel's newest release.
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

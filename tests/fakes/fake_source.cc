#include "tests/fakes/fake_source.h"

#include <sys/mman.h>

#include <algorithm>

namespace hostos {
namespace {

constexpr uint64_t kObjectSize = 1000;

}  // namespace

const Release& FakeSource::Publish(const std::string& version, uint64_t timestamp,
                                   std::vector<std::string> objects) {
  Target target;
  target.bytes = "commit " + version;
  target.signatures = "signed";
  target.index = published_.size() + 1;
  target.valid_signatures = 1;
  target.release = {.commit = Sha256::Of(AsBytes(target.bytes)),
                    .version = version,
                    .architecture = "x86-64",
                    .channel = "stable",
                    .timestamp = timestamp,
                    .seal_format = 1,
                    .root_hash = Sha256::Of(AsBytes("root " + version)),
                    .image_size = 4096,
                    .verity_size = 4096,
                    .uki_digest = Sha256::Of(AsBytes("uki " + version)),
                    .uki_size = 4 + version.size(),
                    .packages = {{"base", version}}};
  newest_ = version;
  Published& published = published_[version] = {std::move(target), std::move(objects), {}};
  return published.target.release;
}

void FakeSource::PublishMetadata(int64_t version, uint64_t expires) {
  metadata_ = {{"root", 1, kLastTime}, {"targets", version, expires}};
}

void FakeSource::BringRescue(const std::string& version) {
  const std::string bytes = "rescue " + version;
  published_.at(version).target.release.rescue =
      RescueImage{.digest = Sha256::Of(AsBytes(bytes)), .size = bytes.size()};
}

void FakeSource::SetRunning(const std::string& version) {
  const std::vector<std::string>& objects = published_.at(version).objects;
  running_ = {objects.begin(), objects.end()};
}

Result<Target> FakeSource::Resolve(const std::optional<std::string>& version, uint64_t now) {
  resolved_at = now;
  if (resolve_error) return std::unexpected(*std::exchange(resolve_error, std::nullopt));
  if (metadata_.back().expires <= now)
    return Fail(Code::kNotTrusted, "expired at {}, it is {} now",
                FormatTimeIso(metadata_.back().expires), FormatTimeIso(now));
  trusted_ = metadata_;
  auto found = published_.find(version.value_or(newest_));
  if (found == published_.end() || gone.contains(found->first))
    return Fail(Code::kNotFound, "no release {}", version.value_or(newest_));
  return found->second.target;
}

std::vector<std::string> FakeSource::Missing(const Target& target) const {
  std::vector<std::string> missing;
  for (const std::string& object : published_.at(target.release.version).objects)
    if (!running_.contains(object) && !staged_.contains(object)) missing.push_back(object);
  return missing;
}

Result<FetchPlan> FakeSource::Plan(const Target& target) {
  const uint64_t missing = Missing(target).size();
  const uint64_t all = published_.at(target.release.version).objects.size();
  return FetchPlan{missing, missing * kObjectSize, missing * kObjectSize,
                   (all - missing) * kObjectSize, removed};
}

void FakeSource::SetChanges(const std::string& version, Result<ReleaseChanges> changes) {
  published_.at(version).target.changes.emplace();
  published_.at(version).changes = std::move(changes);
}

Result<ReleaseChanges> FakeSource::Changes(const Target& target) {
  return published_.at(target.release.version).changes;
}

Result<FetchStats> FakeSource::Fetch(const Target& target, Progress& progress) {
  FetchStats stats;
  moved_ = {};
  const std::vector<std::string> missing = Missing(target);
  for (const std::string& object : missing) {
    if (object == withheld) return Fail(Code::kNetwork, "{}: the server does not answer", object);
    step_("fetch an object");
    transfers_[object]++;
    staged_.insert(object);
    stats.objects++;
    stats.bytes += kObjectSize;
    moved_ += {.bytes = kObjectSize, .requests = 1};
    progress.Bytes(stats.bytes, missing.size() * kObjectSize);
  }
  return stats;
}

Result<Checkout> FakeSource::Open(const Target& target) {
  if (!Missing(target).empty()) return Fail(Code::kFailed, "objects are missing");
  Checkout checkout;
  checkout.sent =
      std::async(std::launch::deferred, [end = std::exchange(sent, {})] { return end; });
  checkout.uki = UniqueFd(::memfd_create("uki", MFD_CLOEXEC));
  TRY(WriteFull(checkout.uki.get(), AsBytes("uki " + target.release.version)));
  if (::lseek(checkout.uki.get(), 0, SEEK_SET) < 0) return FailErrno("uki");
  return checkout;
}

Result<> FakeSource::Discard() {
  if (discard_error) return std::unexpected(*discard_error);
  step_("empty the staging repository");
  staged_.clear();
  return {};
}

Result<Target> FakeSource::Verify(const std::string& commit, const std::string& signatures) {
  verified++;
  auto found = std::ranges::find_if(
      published_, [&](const auto& item) { return item.second.target.bytes == commit; });
  if (found == published_.end() || signatures != "signed")
    return Fail(Code::kNotTrusted, "no trusted signature");
  return found->second.target;
}

}  // namespace hostos

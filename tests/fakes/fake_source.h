// A release server and a staging repository, in memory. Objects become durable one by one, so a
// power cut during a fetch keeps the earlier ones. Every transfer is counted.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "updater/base/clock.h"
#include "updater/source/source.h"

namespace hostos {

class FakeSource : public Source {
 public:
  // Calls `step` before every durable step; it may throw a power cut.
  explicit FakeSource(std::function<void(const char*)> step) : step_(std::move(step)) {}

  // Publishes a release as the channel's newest. Its digests derive from its version.
  const Release& Publish(const std::string& version, uint64_t timestamp,
                         std::vector<std::string> objects);
  const Release& Find(const std::string& version) const {
    return published_.at(version).target.release;
  }
  // Makes the release bring a rescue, whose bytes are "rescue " and the version.
  void BringRescue(const std::string& version);
  // Sets the release in the running root: its objects are never fetched.
  void SetRunning(const std::string& version);

  int transfers(const std::string& object) const {
    auto found = transfers_.find(object);
    return found == transfers_.end() ? 0 : found->second;
  }
  bool staging_empty() const { return staged_.empty(); }

  // Makes the next Resolve fail with this.
  std::optional<Error> resolve_error;
  // An object that the server does not deliver.
  std::string withheld;
  // Makes Discard fail with this.
  std::optional<Error> discard_error;
  // Versions that are gone from everywhere.
  std::set<std::string> gone;
  // The result of the next opened image's sender.
  Result<> sent;
  Space staging_free = {1 << 30, 1 << 20};
  Space removed;  // by the next fetch: objects of a given-up release
  void SetIndex(const std::string& version, uint64_t index) {
    published_.at(version).target.index = index;
  }
  // Gives what is published from now on metadata of this version, valid until `expires`.
  void PublishMetadata(int64_t version, uint64_t expires);
  // Gives the release this file of what its packages fixed.
  void SetChanges(const std::string& version, Result<ReleaseChanges> changes);
  int verified = 0;  // commits that Verify saw
  // The time passed to the last Resolve.
  uint64_t resolved_at = 0;

  Result<Target> Resolve(const std::optional<std::string>& version, uint64_t now) override;
  Result<std::vector<tuf::TrustedRole>> Trusted() override { return trusted_; }
  Result<FetchPlan> Plan(const Target& target) override;
  Result<ReleaseChanges> Changes(const Target& target) override;
  Result<FetchStats> Fetch(const Target& target, Progress& progress) override;
  Traffic Moved() const override { return moved_; }
  Result<Checkout> Open(const Target& target) override;
  Result<Space> StagingFree() override { return staging_free; }
  Result<> Discard() override;
  Result<Target> Verify(const std::string& commit, const std::string& signatures) override;

 private:
  struct Published {
    Target target;
    std::vector<std::string> objects;
    Result<ReleaseChanges> changes;
  };
  std::vector<std::string> Missing(const Target& target) const;

  std::function<void(const char*)> step_;
  std::map<std::string, Published> published_;  // by version
  std::string newest_;
  std::set<std::string> running_;  // objects of the running root
  std::set<std::string> staged_;
  std::map<std::string, int> transfers_;
  Traffic moved_;
  std::vector<tuf::TrustedRole> metadata_ = {{"root", 1, kLastTime}, {"targets", 1, kLastTime}};
  std::vector<tuf::TrustedRole> trusted_ = {{"root", 1, kLastTime}};
};

}  // namespace hostos

// A release server and a staging repository in memory. Objects become durable one by one, so a
// power cut in the middle of a fetch keeps the ones before it; every transfer is counted.
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
  // `step` is called before every durable step; it may throw a power cut.
  explicit FakeSource(std::function<void(const char*)> step) : step_(std::move(step)) {}

  // Publishes a release as the channel's newest. Its digests follow from its version.
  const Release& Publish(const std::string& version, uint64_t timestamp,
                         std::vector<std::string> objects);
  const Release& Find(const std::string& version) const {
    return published_.at(version).target.release;
  }
  // Has the release bring a rescue, whose bytes are "rescue " and its version.
  void BringRescue(const std::string& version);
  // What the machine has in its running root: never fetched.
  void SetRunning(const std::string& version);

  int transfers(const std::string& object) const {
    auto found = transfers_.find(object);
    return found == transfers_.end() ? 0 : found->second;
  }
  bool staging_empty() const { return staged_.empty(); }

  // The next Resolve fails with this.
  std::optional<Error> resolve_error;
  // An object that the server does not give.
  std::string withheld;
  // Discard fails with this.
  std::optional<Error> discard_error;
  // Versions that nobody has any more.
  std::set<std::string> gone;
  // What the sender of the next opened image comes to.
  Result<> sent;
  Space staging_free = {1 << 30, 1 << 20};
  Space removed;  // by the next fetch: objects of a release that was given up
  void SetIndex(const std::string& version, uint64_t index) {
    published_.at(version).target.index = index;
  }
  // What is published from now on counts until then, as a repository's metadata of that version.
  void PublishMetadata(int64_t version, uint64_t expires);
  int verified = 0;  // commits, by Verify
  // The time that the last Resolve was asked for.
  uint64_t resolved_at = 0;

  Result<Target> Resolve(const std::optional<std::string>& version, uint64_t now) override;
  Result<std::vector<tuf::TrustedRole>> Trusted() override { return trusted_; }
  Result<FetchPlan> Plan(const Target& target) override;
  Result<FetchStats> Fetch(const Target& target, Progress& progress) override;
  Result<Checkout> Open(const Target& target) override;
  Result<Space> StagingFree() override { return staging_free; }
  Result<> Discard() override;
  Result<Target> Verify(const std::string& commit, const std::string& signatures) override;

 private:
  struct Published {
    Target target;
    std::vector<std::string> objects;
  };
  std::vector<std::string> Missing(const Target& target) const;

  std::function<void(const char*)> step_;
  std::map<std::string, Published> published_;  // by version
  std::string newest_;
  std::set<std::string> running_;  // objects of the running root
  std::set<std::string> staged_;
  std::map<std::string, int> transfers_;
  std::vector<tuf::TrustedRole> metadata_ = {{"root", 1, kLastTime}, {"targets", 1, kLastTime}};
  std::vector<tuf::TrustedRole> trusted_ = {{"root", 1, kLastTime}};
};

}  // namespace hostos

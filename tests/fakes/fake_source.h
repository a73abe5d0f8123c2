// A release server and a staging repository in memory. Objects become durable one by one, so a
// power cut in the middle of a fetch keeps the ones before it; every transfer is counted.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "updater/source/source.h"

namespace hostos {

class FakeSource : public Source {
 public:
  // `step` is called before every durable step; it may throw a power cut.
  explicit FakeSource(std::function<void(const char*)> step) : step_(std::move(step)) {}

  // Publishes a release as the channel's newest. Its digests follow from its version.
  const Release& Publish(const std::string& version, uint64_t timestamp,
                         std::vector<std::string> objects);
  // What the machine has in its running root: never fetched.
  void SetRunning(const std::string& version);

  int transfers(const std::string& object) const {
    auto found = transfers_.find(object);
    return found == transfers_.end() ? 0 : found->second;
  }
  bool staging_empty() const { return staged_.empty(); }

  // The next Resolve fails with this.
  std::optional<Error> resolve_error;
  // Discard fails with this.
  std::optional<Error> discard_error;
  // Versions that nobody has any more.
  std::set<std::string> gone;
  uint64_t staging_free = 1 << 30;
  void SetIndex(const std::string& version, uint64_t index) {
    published_.at(version).target.index = index;
  }
  int verified = 0;  // commits, by Verify
  // The time that the last Resolve was asked for.
  uint64_t resolved_at = 0;

  Result<Target> Resolve(const std::optional<std::string>& version, uint64_t now) override;
  Result<FetchPlan> Plan(const Target& target) override;
  Result<FetchStats> Fetch(const Target& target, Progress& progress) override;
  Result<Checkout> Open(const Target& target) override;
  Result<uint64_t> StagingFree() override { return staging_free; }
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
};

}  // namespace hostos

// The Source of a node in one process: what the fetch process does, without the process between.
#pragma once

#include <future>
#include <memory>

#include "updater/seal/seal.h"
#include "updater/source/files.h"
#include "updater/source/resolver.h"
#include "updater/source/staging_repository.h"

namespace hostos {

class LocalSource : public Source {
 public:
  explicit LocalSource(SourceOptions options)
      : options_(options), resolver_(options), staging_(options) {}

  Result<Target> Resolve(const std::optional<std::string>& version, uint64_t now) override {
    const auto files = TRY(OpenFiles(WithoutSlash(options_.url), options_.http));
    return resolver_.Resolve(*files, version, now);
  }
  Result<std::vector<tuf::TrustedRole>> Trusted() override { return resolver_.Trusted(); }
  Result<FetchPlan> Plan(const Target& target) override { return staging_.Plan(target); }
  Result<ReleaseChanges> Changes(const Target& target) override {
    const auto files = TRY(OpenFiles(WithoutSlash(options_.url), options_.http));
    const std::string bytes = TRY(files->Fetch(target.changes->path, kMaxChangesBytes));
    return ParseChanges(bytes);
  }
  Result<FetchStats> Fetch(const Target& target, Progress& progress) override {
    Result<FetchStats> stats = staging_.Fetch(target, progress);
    moved_ = std::exchange(*options_.http.traffic, {});
    return stats;
  }
  Traffic Moved() const override { return moved_; }
  Result<Checkout> Open(const Target& target) override {
    StagingRepository::Opened opened = TRY(staging_.Open(target));
    auto [image, writer] = TRY(StreamPair());
    auto send = [](Scan scan, UniqueFd to) {
      return SendImage(scan.tree, *scan.content, to.get());
    };
    return Checkout{std::async(std::launch::async, send, std::move(opened.scan), std::move(writer)),
                    std::move(image), std::move(opened.uki)};
  }
  Result<Space> StagingFree() override { return staging_.Free(); }
  Result<> Discard() override { return staging_.Discard(); }
  Result<Target> Verify(const std::string& commit, const std::string& signatures) override {
    return resolver_.Verify(commit, signatures);
  }

 private:
  SourceOptions options_;
  Resolver resolver_;
  StagingRepository staging_;
  Traffic moved_;
};

}  // namespace hostos

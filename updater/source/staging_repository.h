// A node's staging repository and what fills it: a server, a directory or a bundle, the whole
// objects of a damaged slot, and objects that only root may read.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "updater/base/progress.h"
#include "updater/source/options.h"
#include "updater/source/repo.h"
#include "updater/source/scan.h"
#include "updater/source/source.h"

namespace hostos {

class StagingRepository {
 public:
  explicit StagingRepository(SourceOptions options);

  // Stages objects that this machine has but this process may not read: takes all that `next`
  // returns, in one transaction.
  struct Given {
    Digest checksum;
    std::string content;
  };
  Result<> Take(const std::function<Result<std::optional<Given>>()>& next) const;

  // As in Source.
  Result<FetchPlan> Plan(const Target& target) const;
  Result<FetchStats> Fetch(const Target& target, Progress& progress) const;
  Result<Space> Free() const;
  Result<> Discard() const;

  // A fetched release, ready to be sealed: its UKI is the signed one, and its tree seals to an
  // image of the signed size.
  struct Opened {
    Scan scan;
    UniqueFd uki;
  };
  Result<Opened> Open(const Commit& commit) const;

 private:
  Result<Repo> OpenRepository() const;
  // Gets every object that the repository lacks, each by itself.
  Result<FetchStats> FetchObjects(Repo& repo, const SignedCommit& commit, Progress& progress) const;

  SourceOptions options_;
};

}  // namespace hostos

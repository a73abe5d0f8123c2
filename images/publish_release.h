// From commits in an archive repository to releases that nodes find: TUF targets.
#pragma once

#include <span>
#include <string>

#include "images/tuf_repository.h"
#include "updater/base/release.h"
#include "updater/base/result.h"
#include "updater/source/sign.h"

namespace hostos {

struct PublishOptions {
  std::string repo;
  std::string product = "hostos";
  std::string architecture;
  std::string version;
  uint64_t minimum_index = 0;  // releases before this one are withdrawn
};

// Makes the commit of a version the newest release of the channel it was committed for.
Result<ReleaseTarget> PublishRelease(TufRepository& repository, const PublishOptions& options);

// The same in another channel: the same content, in a commit that says so, signed with `keys`.
Result<ReleaseTarget> PromoteRelease(TufRepository& repository, const PublishOptions& options,
                                     const std::string& channel, std::span<const SecretKey> keys);

// After its withdrawal: where the channel's ref leads to it, it leads to the newest instead, or
// there is none. The version's own ref stays, and with it the version is taken.
Result<> LeaveRelease(const std::string& repo, const ReleaseTarget& withdrawn,
                      const std::optional<ReleaseTarget>& newest);

}  // namespace hostos

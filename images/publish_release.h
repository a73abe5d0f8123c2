// Makes commits in an archive repository into releases that nodes find: TUF targets.
#pragma once

#include <span>
#include <string>

#include "images/publish/secret_key.h"
#include "images/tuf_repository.h"
#include "updater/base/release.h"
#include "updater/base/result.h"
#include "updater/release/signature.h"

namespace hostos {

struct PublishOptions {
  std::string repo;
  std::string product = "hostos";
  std::string architecture;
  std::string version;
  uint64_t minimum_index = 0;  // withdraws all releases with a smaller index
};

// Makes the commit of a version the newest release of the channel it was committed for.
Result<ReleaseTarget> PublishRelease(TufRepository& repository, const PublishOptions& options);

// Makes it the newest of another channel: the same content, in a new commit that names this
// channel, signed with `keys`.
Result<ReleaseTarget> PromoteRelease(TufRepository& repository, const PublishOptions& options,
                                     const std::string& channel, std::span<const SecretKey> keys);

// After a withdrawal: if the channel's ref points to the withdrawn release, points it to the newest
// one instead, or removes it if there is none. The version's own ref stays, so the version stays
// taken.
Result<> LeaveRelease(const std::string& repo, const ReleaseTarget& withdrawn,
                      const std::optional<ReleaseTarget>& newest);

}  // namespace hostos

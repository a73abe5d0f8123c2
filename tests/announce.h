// Publishes a committed version, so that nodes find it.
#pragma once

#include <unistd.h>

#include <span>
#include <string>

#include "images/publish/secret_key.h"
#include "images/publish_release.h"
#include "updater/base/clock.h"

namespace hostos {

// Makes the first root of the repository at `repo`, if there is none: the keys then sign for every
// role, and everything is valid for a hundred years.
inline Result<> MakeFirstRoot(TufRepository& repository, const std::string& repo,
                              std::span<const SecretKey> keys) {
  if (::access((repo + "/metadata/1.root.json").c_str(), F_OK) == 0) return {};
  RoleChange all{.keys = {}, .threshold = 1, .days = 36'500};
  for (const SecretKey& key : keys) all.keys.push_back(TRY(key.Public()));
  TRY(repository.StageRoot(
      {{"root", all}, {"targets", all}, {"snapshot", all}, {"timestamp", all}}));
  TRY(repository.Sign(keys));
  return {};
}

// Publishes in the repository at `repo`.
inline Result<> Announce(const std::string& repo, const std::string& version,
                         std::span<const SecretKey> keys) {
  TufRepository repository = TRY(TufRepository::Create(repo, SystemClock().Now()));
  TRY(MakeFirstRoot(repository, repo, keys));
  const PublishOptions options = {.repo = repo, .architecture = "x86-64", .version = version};
  TRY(PublishRelease(repository, options));
  if (!TRY(repository.Sign(keys)).missing.empty())
    return Fail(Code::kFailed, "{}: signatures are missing", repo);
  return {};
}

}  // namespace hostos

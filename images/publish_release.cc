#include "images/publish_release.h"

#include "updater/source/repo.h"

namespace hostos {
namespace {

Result<Commit> ReadCommit(const Repo& repo, const PublishOptions& options) {
  const Digest commit = TRY(repo.ResolveRef(ReleaseRef(options.architecture, options.version)));
  const std::string bytes = TRY(repo.ReadMetadata(ObjectType::kCommit, commit));
  return ParseCommit(bytes);
}

Result<ReleaseTarget> Publish(TufRepository& repository, const PublishOptions& options,
                              const Release& release) {
  ReleaseTarget target = TargetOf(release);
  target.product = options.product;
  target.minimum_index = options.minimum_index;
  return repository.StageRelease(std::move(target));
}

}  // namespace

Result<ReleaseTarget> PublishRelease(TufRepository& repository, const PublishOptions& options) {
  const Repo repo = TRY(Repo::Open(options.repo));
  const Commit commit = TRY(ReadCommit(repo, options));
  return Publish(repository, options, commit.release);
}

Result<ReleaseTarget> PromoteRelease(TufRepository& repository, const PublishOptions& options,
                                     const std::string& channel, std::span<const SecretKey> keys) {
  if (!IsValidName(channel)) return Fail(Code::kUsage, "expected a channel, found '{}'", channel);
  Repo repo = TRY(Repo::Open(options.repo));
  Commit commit = TRY(ReadCommit(repo, options));
  commit.release.channel = channel;
  commit.release.commit = TRY(repo.CommitAgain(commit, keys));
  return Publish(repository, options, commit.release);
}

}  // namespace hostos

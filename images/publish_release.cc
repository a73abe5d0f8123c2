#include "images/publish_release.h"

#include "images/commit_release.h"
#include "images/pack_release.h"
#include "images/publish/publish.h"
#include "images/publish/secret_key.h"
#include "images/publish_sbom.h"
#include "updater/base/clock.h"
#include "updater/release/commit.h"
#include "updater/source/repo.h"

namespace hostos {
namespace {

// Adds to a kNotFound error that a release must be committed before it is published.
auto CommitFirst(const PublishOptions& options) {
  return [&options](Error error) {
    if (error.code == Code::kNotFound)
      error.message += std::format(
          "; commit the release first: hostimage commit --repo {} --version {} --architecture {} "
          "...",
          options.repo, options.version, options.architecture);
    return error;
  };
}

Result<Repo> OpenRepo(const PublishOptions& options) {
  return Repo::Open(options.repo).transform_error(CommitFirst(options));
}

Result<Commit> ReadCommit(const Repo& repo, const PublishOptions& options) {
  const Digest commit = TRY(repo.ResolveRef(ReleaseRef(options.architecture, options.version))
                                .transform_error(CommitFirst(options)));
  return repo.ReadCommit(commit);
}

// Checks whether nodes would accept the release's time after that of the channel's newest release.
Result<> CheckTime(const TufRepository& repository, const Repo& repo, const PublishOptions& options,
                   const Release& release) {
  TRY(CheckReleaseTime(release.timestamp, repository.now()));
  const std::vector<ReleaseTarget> before =
      TRY(repository.Releases(options.product, release.architecture, release.channel));
  if (before.empty()) return {};
  const Result<Commit> read = repo.ReadCommit(before.back().commit);
  if (!read && read.error().code == Code::kNotFound) return {};
  const Commit newest = TRY(read);
  // A newest release with an impossible time of its own is ignored.
  if (release.timestamp >= newest.release.timestamp ||
      !CheckReleaseTime(newest.release.timestamp, repository.now()))
    return {};
  return Fail(Code::kRefused,
              "time of the release: expected none before {}'s, {}, which nodes run already, found "
              "{}: commit it with a later --timestamp",
              newest.release.version, FormatTimeIso(newest.release.timestamp),
              FormatTimeIso(release.timestamp));
}

Result<ReleaseTarget> Publish(TufRepository& repository, const PublishOptions& options,
                              const Repo& repo, const Commit& commit) {
  ReleaseTarget target = TargetOf(commit.release);
  target.product = options.product;
  target.minimum_index = options.minimum_index;
  target.packs = TRY(PacksFor(options.repo, target.root_hash));
  target.sboms = TRY(PutSboms(repo, commit, target));
  return repository.StageRelease(std::move(target));
}

}  // namespace

Result<ReleaseTarget> PublishRelease(TufRepository& repository, const PublishOptions& options) {
  const Repo repo = TRY(OpenRepo(options));
  const Commit commit = TRY(ReadCommit(repo, options));
  TRY(CheckTime(repository, repo, options, commit.release));
  return Publish(repository, options, repo, commit);
}

Result<ReleaseTarget> PromoteRelease(TufRepository& repository, const PublishOptions& options,
                                     const std::string& channel, std::span<const SecretKey> keys) {
  if (!IsValidName(channel)) return Fail(Code::kUsage, "expected a channel, found '{}'", channel);
  Repo repo = TRY(OpenRepo(options));
  Commit commit = TRY(ReadCommit(repo, options));
  commit.release.channel = channel;
  TRY(CheckTime(repository, repo, options, commit.release));
  commit.release.commit = TRY(CommitAgain(repo, commit, keys));
  return Publish(repository, options, repo, commit);
}

Result<> LeaveRelease(const std::string& repo, const ReleaseTarget& withdrawn,
                      const std::optional<ReleaseTarget>& newest) {
  const Repo archive = TRY(Repo::Open(repo));
  const std::string ref = ChannelRef(withdrawn.architecture, withdrawn.channel);
  if (archive.ResolveRef(ref).value_or(Digest{}) != withdrawn.commit) return {};
  Repo::Transaction transaction = TRY(Repo::Transaction::Begin(archive));
  if (newest) {
    transaction.SetRef(ref, newest->commit);
  } else {
    transaction.RemoveRef(ref);
  }
  return transaction.Commit();
}

}  // namespace hostos

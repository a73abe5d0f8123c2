#include "images/signed_release.h"

namespace hostos {

Result<SignedRelease> OpenSignedRelease(const ReleaseQuery& query) {
  const std::vector<PublicKey> trusted = TRY(LoadGivenKeys(query.keys));
  Repo repo = TRY(Repo::Open(query.repo));
  const Result<Digest> checksum = Digest::FromHex(query.name);
  const auto list_them = [&](Error error) {
    if (error.code == Code::kNotFound)
      error.message += std::format("; what there is: ostree refs --repo={}", query.repo);
    return error;
  };
  const Digest commit =
      checksum ? *checksum : TRY(repo.ResolveRef(query.name).transform_error(list_them));
  std::string bytes = TRY(repo.ReadMetadata(ObjectType::kCommit, commit));
  std::string detached = TRY(repo.ReadDetachedMetadata(commit));
  const uint32_t valid =
      TRY_CONTEXT(query.name, VerifyCommit(bytes, detached, trusted, query.signatures));
  SignedCommit parsed =
      TRY_CONTEXT(query.name, ParseSignedCommit(std::move(bytes), std::move(detached)));
  const Release& release = parsed.release;
  const std::string channel = ChannelRef(release.architecture, release.channel);
  const std::string version = ReleaseRef(release.architecture, release.version);
  if (!checksum && query.name != channel && query.name != version)
    return Fail(Code::kNotTrusted,
                "{}: the ref points at commit {}, which is signed for {} and {} only", query.name,
                commit.Hex(), channel, version);
  return SignedRelease{std::move(repo), std::move(parsed), valid};
}

}  // namespace hostos

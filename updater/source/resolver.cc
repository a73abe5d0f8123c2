#include "updater/source/resolver.h"

#include <algorithm>
#include <tuple>

#include "updater/base/atomic_file.h"
#include "updater/base/mask.h"
#include "updater/source/files.h"
#include "updater/tuf/client.h"
#include "updater/tuf/trust.h"

namespace hostos {
namespace {

// A signed release may still be meant for another machine.
Result<> CheckMeant(const char* what, const std::string& expected, const std::string& found) {
  if (found == expected) return {};
  return Fail(Code::kNotSupported, "{}: expected {}, found {}", what, expected, found);
}

Result<> CheckBindings(const Release& release, const SourceOptions& options) {
  TRY(CheckMeant("architecture", options.architecture, release.architecture));
  TRY(CheckMeant("channel", options.channel, release.channel));
  if (!std::ranges::contains(options.seal_formats, release.seal_format)) {
    std::string known;
    for (uint32_t format : options.seal_formats) {
      known += (known.empty() ? "" : ", ") + std::to_string(format);
    }
    return Fail(Code::kNotSupported,
                "seal format: expected {}, found {}; update to a release in between first", known,
                release.seal_format);
  }
  return {};
}

// Signatures first: nothing else of the commit is read before they hold.
Result<Target> VerifyTarget(std::string commit, std::string signatures,
                            const SourceOptions& options) {
  const TrustedKeys trusted = TRY(LoadTrustedKeys(options.key_directories));
  const auto name_unused = [&](Error error) {
    for (const std::string& problem : trusted.problems) error.message += "; not used: " + problem;
    return error;
  };
  Target target;
  target.required_signatures = options.signatures.required;
  target.valid_signatures = TRY(VerifyCommit(commit, signatures, trusted.keys, options.signatures)
                                    .transform_error(name_unused));
  static_cast<SignedCommit&>(target) =
      TRY(ParseSignedCommit(std::move(commit), std::move(signatures)));
  TRY(CheckBindings(target.release, options));
  return target;
}

// If a server lacks a file that was signed, it withholds it: kNetwork. A bundle may never have had
// it.
auto Withheld(const std::string& url) {
  return [&url](Error error) {
    if (error.code == Code::kNotFound && !IsLocal(url)) error.code = Code::kNetwork;
    return error;
  };
}

}  // namespace

Resolver::Resolver(SourceOptions options) : options_(std::move(options)) {
  options_.url = WithoutSlash(std::move(options_.url));
}

Result<Target> Resolver::Resolve(tuf::Fetcher& files, const std::optional<std::string>& version,
                                 uint64_t now) const {
  if (version && !IsValidName(*version)) {
    return Fail(Code::kUsage, "expected a version, found '{}'", *version);
  }
  const std::string url = Masked(options_.url);
  const ReleaseTarget release = TRY_CONTEXT(url, Find(files, version, now));
  CommitFiles commit =
      TRY_CONTEXT(url, FetchCommit(files, release.commit).transform_error(Withheld(options_.url)));
  const std::string where = std::format("commit {} ({})", release.commit.Hex(), release.version);
  Target target = TRY_CONTEXT(
      where, VerifyTarget(std::move(commit.bytes), std::move(commit.signatures), options_));
  files.Accepted(commit.name, target.bytes);
  files.Accepted(commit.name + "meta", target.signatures);
  TRY_CONTEXT(where, CheckBinding(release, target.release));
  const ReleaseLimits limits = LimitsOf(TRY(tuf::Client::Trusted(options_.metadata)));
  TRY_CONTEXT(where, CheckLimits(target.release, release.index, limits));
  target.index = release.index;
  target.packs = release.packs;
  for (const SbomFile& file : release.sboms)
    if (file.format == kChangesFormat)
      target.changes = {SbomPath(release, file.format), file.digest, file.size};
  return target;
}

Result<> Resolver::PrepareMetadata() const {
  TRY(MakeDirectories(options_.metadata));
  const std::string root = TRY(ReadFile(options_.root, tuf::kRootCap));
  TRY_CONTEXT(options_.root, tuf::Client::Adopt(options_.metadata, root));
  return {};
}

Result<std::vector<tuf::TrustedRole>> Resolver::Trusted() const {
  Result<std::vector<tuf::TrustedRole>> kept = tuf::Client::Trusted(options_.metadata);
  if (kept || (kept.error().code != Code::kNotFound && kept.error().code != Code::kNotTrusted))
    return kept;
  // Lost or damaged: the next run begins with the release's root.
  const std::string bytes = TRY(ReadFile(options_.root, tuf::kRootCap));
  const tuf::Root root = TRY_CONTEXT(options_.root, tuf::TrustFirstRoot(bytes));
  return std::vector{tuf::Summary(root)};
}

// What the release team says about a release of this machine's channel.
Result<ReleaseTarget> Resolver::Find(tuf::Fetcher& files, const std::optional<std::string>& version,
                                     uint64_t now) const {
  const auto& [product, architecture, channel] =
      std::tie(options_.product, options_.architecture, options_.channel);
  TRY(PrepareMetadata());
  Folder metadata(files, "metadata/"), targets(files, "targets/");
  tuf::Client client =
      TRY_CONTEXT("metadata", tuf::Client::Refresh(options_.metadata, metadata, now));

  const auto read = [&](const std::string& path) -> Result<ReleaseTarget> {
    const tuf::TargetFile file = TRY(client.Find(path));
    if (*file.length > kMaxReleaseTargetBytes)
      return Fail(Code::kNotTrusted, "{}: expected at most {} bytes, found {}", path,
                  kMaxReleaseTargetBytes, *file.length);
    const std::string bytes =
        TRY(client.Fetch(file, targets).transform_error(Withheld(options_.url)));
    const ReleaseTarget release = TRY_CONTEXT(path, ParseReleaseTarget(bytes));
    TRY_CONTEXT(path, CheckMeant("product", product, release.product));
    TRY_CONTEXT(path, CheckMeant("architecture", architecture, release.architecture));
    TRY_CONTEXT(path, CheckMeant("channel", channel, release.channel));
    return release;
  };
  const ReleaseTarget newest = TRY(read(ChannelTarget(product, architecture, channel)));
  if (!version) return newest;
  const ReleaseTarget wanted = TRY(read(VersionTarget(product, architecture, channel, *version)));
  TRY(CheckMeant("version", *version, wanted.version));
  if (wanted.index < newest.minimum_index)
    return Fail(Code::kNotTrusted,
                "{} was withdrawn: expected a release with an index from {} on, found {}",
                wanted.version, newest.minimum_index, wanted.index);
  return wanted;
}

Result<Target> Resolver::Verify(const std::string& commit, const std::string& signatures) const {
  std::string hex = Sha256::Of(AsBytes(commit)).Hex();
  return TRY_CONTEXT("commit " + hex, VerifyTarget(commit, signatures, options_));
}

}  // namespace hostos

#include "updater/source/ostree_source.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <tuple>

#include "updater/base/atomic_file.h"
#include "updater/base/mask.h"
#include "updater/seal/seal.h"
#include "updater/source/archive.h"
#include "updater/source/commit.h"
#include "updater/source/files.h"
#include "updater/source/repo.h"
#include "updater/source/scan.h"
#include "updater/tuf/client.h"
#include "updater/tuf/trust.h"

namespace hostos {
namespace {

// A release that is signed may still not be meant for this machine.
Result<> CheckMeant(const char* what, const std::string& expected, const std::string& found) {
  if (found == expected) return {};
  return Fail(Code::kNotSupported, "{}: expected {}, found {}", what, expected, found);
}

Result<> CheckBindings(const Release& release, const OstreeSourceOptions& options) {
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

// Signatures first: nothing else of the commit is looked at before they hold.
Result<Target> VerifyTarget(std::string commit, std::string signatures,
                            const OstreeSourceOptions& options) {
  const TrustedKeys trusted = TRY(LoadTrustedKeys(options.key_directories));
  const auto name_unused = [&](Error error) {
    for (const std::string& problem : trusted.problems) error.message += "; not used: " + problem;
    return error;
  };
  Target target;
  target.required_signatures = options.signatures.required;
  target.valid_signatures = TRY(VerifyCommit(commit, signatures, trusted.keys, options.signatures)
                                    .transform_error(name_unused));
  target.release = TRY(ParseCommit(commit)).release;
  TRY(CheckBindings(target.release, options));
  target.commit = std::move(commit);
  target.signatures = std::move(signatures);
  return target;
}

// libostree says that an object ended too early, or never ended, but not which: it is the one whose
// size on the server is another than the signed one.
Error NameDamagedObject(Error error, const Repo& repo, const Commit& commit,
                        const OstreeSourceOptions& options) {
  HttpClient http(options.http);
  for (const ObjectSize& object : commit.sizes) {
    if (object.type != ObjectType::kFile) continue;
    auto present = repo.Has(object.type, object.checksum);
    if (!present || *present) continue;
    std::string url = options.url + "/" + ObjectPath(object);
    auto size = http.Size(url);
    if (!size) break;
    if (*size != object.archived) {
      error.message = std::format("{}: expected the signed {} bytes, found {}", Masked(url),
                                  object.archived, *size);
      return error;
    }
  }
  error.message +=
      std::format("; an object of release {} is damaged there: `ostree fsck` says which",
                  commit.release.version);
  return error;
}

// What was signed, and a server has not, it withholds. A bundle may never have had it.
auto Withheld(const std::string& url) {
  return [&url](Error error) {
    if (error.code == Code::kNotFound && !IsLocal(url)) error.code = Code::kNetwork;
    return error;
  };
}

Result<Digest> HashFile(int fd) {
  Sha256 hash;
  std::array<std::byte, 64 << 10> buffer;
  uint64_t offset = 0;
  while (size_t size = TRY(PreadFull(fd, buffer, offset))) {
    hash.Update(std::span(buffer).first(size));
    offset += size;
  }
  return hash.Finish();
}

}  // namespace

OstreeSource::OstreeSource(OstreeSourceOptions options) : options_(std::move(options)) {
  while (options_.url.ends_with('/')) options_.url.pop_back();
}

Result<Target> OstreeSource::Resolve(const std::optional<std::string>& version, uint64_t now) {
  const std::unique_ptr<tuf::Fetcher> files = TRY(OpenFiles(options_.url, options_.http));
  return Resolve(*files, version, now);
}

Result<Target> OstreeSource::Resolve(tuf::Fetcher& files, const std::optional<std::string>& version,
                                     uint64_t now) {
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
  files.Accepted(commit.name, target.commit);
  files.Accepted(commit.name + "meta", target.signatures);
  TRY_CONTEXT(where, CheckBinding(release, target.release));
  const ReleaseLimits limits = LimitsOf(TRY(tuf::Client::Trusted(options_.metadata)));
  TRY_CONTEXT(where, CheckLimits(target.release, release.index, limits));
  target.index = release.index;
  return target;
}

Result<> OstreeSource::PrepareMetadata() const {
  TRY(MakeDirectories(options_.metadata));
  const std::string root = TRY(ReadFile(options_.root, tuf::kRootCap));
  TRY_CONTEXT(options_.root, tuf::Client::Adopt(options_.metadata, root));
  return {};
}

Result<std::vector<tuf::TrustedRole>> OstreeSource::Trusted() {
  Result<std::vector<tuf::TrustedRole>> kept = tuf::Client::Trusted(options_.metadata);
  if (kept || (kept.error().code != Code::kNotFound && kept.error().code != Code::kNotTrusted))
    return kept;
  // Lost, or damaged: the next run begins with the release's root.
  const std::string bytes = TRY(ReadFile(options_.root, tuf::kRootCap));
  const tuf::Root root = TRY_CONTEXT(options_.root, tuf::TrustFirstRoot(bytes));
  return std::vector{tuf::Summary(root)};
}

// What the release team says of a release of this machine's channel.
Result<ReleaseTarget> OstreeSource::Find(tuf::Fetcher& files,
                                         const std::optional<std::string>& version, uint64_t now) {
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

Result<Target> OstreeSource::Verify(const std::string& commit, const std::string& signatures) {
  std::string hex = Sha256::Of(AsBytes(commit)).Hex();
  return TRY_CONTEXT("commit " + hex, VerifyTarget(commit, signatures, options_));
}

Result<Repo> OstreeSource::OpenStaging() const {
  return Repo::OpenStaging(options_.staging, options_.parent, options_.http.proxy);
}

Result<FetchPlan> OstreeSource::Plan(const Target& target) {
  Repo repo = TRY(OpenStaging());
  return repo.Plan(TRY(ParseCommit(target.commit)));
}

Result<FetchStats> OstreeSource::Fetch(const Target& target, Progress& progress) {
  Repo repo = TRY(OpenStaging());
  for (const std::string& damaged : options_.damaged)
    (void)repo.Salvage(damaged, TRY(ParseCommit(target.commit)), progress);  // else it is fetched
  if (IsLocal(options_.url)) {
    Archive from = TRY(Archive::Open(options_.url));
    return repo.Copy(from, target.commit, target.signatures, progress);
  }
  auto stats = repo.Pull(options_.url, target.commit, target.signatures, options_.http, progress)
                   .transform_error(MaskedError);
  if (stats || stats.error().code != Code::kNotTrusted ||
      stats.error().message.contains("Corrupted")) {
    return stats;
  }
  return std::unexpected(
      NameDamagedObject(std::move(stats.error()), repo, TRY(ParseCommit(target.commit)), options_));
}

Result<> OstreeSource::Take(const std::function<Result<std::optional<Given>>()>& next) {
  Repo repo = TRY(OpenStaging());
  auto transaction = TRY(Repo::Transaction::Begin(repo));
  while (const std::optional<Given> object = TRY(next()))
    TRY(transaction.WriteContent(object->checksum, object->content));
  return transaction.Commit();
}

Result<Checkout> OstreeSource::Open(const Target& target) {
  const Release& release = target.release;
  Repo repo = TRY(OpenStaging());
  Scan scan = TRY(ScanCommit(repo, release.commit));
  auto where = [&] { return std::format("commit {}: /boot/hostos.efi", release.commit.Hex()); };
  if (!scan.uki) return Fail(Code::kNotTrusted, "{}: expected the UKI, found none", where());
  if (scan.uki->size != release.uki_size) {
    return Fail(Code::kNotTrusted, "{}: expected {} bytes, found {}", where(), release.uki_size,
                scan.uki->size);
  }
  UniqueFd uki = TRY_CONTEXT(where(), scan.content->Open(*scan.uki));
  if (Digest found = TRY_CONTEXT(where(), HashFile(uki.get())); found != release.uki_digest) {
    return Fail(Code::kNotTrusted, "{}: expected SHA-256 {}, found {}", where(),
                release.uki_digest.Hex(), found.Hex());
  }
  const SealSize size = TRY(Measure(scan.tree));
  if (size.image != release.image_size)
    return Fail(Code::kNotTrusted, "commit {}: expected an image of {} bytes as signed, found {}",
                release.commit.Hex(), release.image_size, size.image);
  auto [image, writer] = TRY(StreamPair());
  auto send = [](Scan sealed, UniqueFd to) {
    return SendImage(sealed.tree, *sealed.content, to.get());
  };
  return Checkout{std::async(std::launch::async, send, std::move(scan), std::move(writer)),
                  std::move(image), std::move(uki)};
}

Result<Space> OstreeSource::StagingFree() {
  return FreeSpaceAt(TRY(OpenStaging()).path());
}

Result<> OstreeSource::Discard() {
  std::error_code error;
  std::filesystem::remove_all(options_.staging, error);
  if (error) return FailErrno(options_.staging, error.value());
  return {};
}

}  // namespace hostos

#include "updater/source/staging_repository.h"

#include <filesystem>

#include "updater/base/mask.h"
#include "updater/seal/seal.h"
#include "updater/source/archive.h"
#include "updater/source/delta_fetch.h"
#include "updater/source/files.h"
#include "updater/source/http_objects.h"

namespace hostos {
namespace {

// libostree reports that an object ended too early, or never ended, but not which one. It is the
// one whose size on the server differs from the signed size.
Error NameDamagedObject(Error error, const Repo& repo, const Commit& commit,
                        const SourceOptions& options) {
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

}  // namespace

StagingRepository::StagingRepository(SourceOptions options) : options_(std::move(options)) {
  options_.url = WithoutSlash(std::move(options_.url));
}

Result<Repo> StagingRepository::OpenRepository() const {
  return Repo::OpenStaging(options_.staging, options_.parent, options_.http.proxy);
}

Result<FetchPlan> StagingRepository::Plan(const Target& target) const {
  const Repo repo = TRY(OpenRepository());
  const FetchPlan plan = TRY(repo.Plan(target));
  const std::optional<DeltaPack> pack = ChoosePack(target, options_);
  return pack ? WithPack(plan, *pack, target, options_) : plan;
}

Result<FetchStats> StagingRepository::Fetch(const Target& target, Progress& progress) const {
  Repo repo = TRY(OpenRepository());
  for (const std::string& damaged : options_.damaged)
    (void)repo.Salvage(damaged, target, progress);  // what it lacks is fetched
  FetchStats packed;
  if (const std::optional<DeltaPack> pack = ChoosePack(target, options_)) {
    const FetchPlan plan = TRY(repo.Prepare(target));
    if (WithPack(plan, *pack, target, options_).packed) {
      Traffic& traffic = *options_.http.traffic;
      const Traffic before = traffic;
      Result<FetchStats> fetched = FetchPack(repo, *pack, target, options_, progress);
      traffic.pack_bytes += traffic.bytes - before.bytes;
      traffic.pack_requests += traffic.requests - before.requests;
      packed = TRY(std::move(fetched));
    }
  }
  FetchStats stats = TRY(FetchObjects(repo, target, progress));
  ForgetPacks(options_);
  stats.objects += packed.objects;
  stats.bytes += packed.bytes;
  stats.problem = std::move(packed.problem);
  return stats;
}

Result<FetchStats> StagingRepository::FetchObjects(Repo& repo, const SignedCommit& commit,
                                                   Progress& progress) const {
  if (IsLocal(options_.url)) {
    Archive from = TRY(Archive::Open(options_.url));
    return repo.Copy(from, commit, progress);
  }
  if (options_.http.rate_limit > 0) {
    HttpObjects from(options_, TRY(repo.Prepare(commit)), progress);
    return repo.Copy(from, commit, progress);
  }
  auto stats =
      repo.Pull(options_.url, commit, options_.http, progress).transform_error(MaskedError);
  if (stats || stats.error().code != Code::kNotTrusted ||
      stats.error().message.contains("Corrupted"))
    return stats;
  return std::unexpected(NameDamagedObject(std::move(stats.error()), repo, commit, options_));
}

Result<> StagingRepository::Take(const std::function<Result<std::optional<Given>>()>& next) const {
  Repo repo = TRY(OpenRepository());
  auto transaction = TRY(Repo::Transaction::Begin(repo));
  while (const std::optional<Given> object = TRY(next()))
    TRY(transaction.WriteContent(object->checksum, object->content));
  return transaction.Commit();
}

Result<StagingRepository::Opened> StagingRepository::Open(const Commit& commit) const {
  const Release& release = commit.release;
  Repo repo = TRY(OpenRepository());
  Scan scan = TRY(ScanCommit(repo, commit));
  auto where = [&] { return std::format("commit {}: /boot/hostos.efi", release.commit.Hex()); };
  if (!scan.uki) return Fail(Code::kNotTrusted, "{}: expected the UKI, found none", where());
  if (scan.uki->size != release.uki_size) {
    return Fail(Code::kNotTrusted, "{}: expected {} bytes, found {}", where(), release.uki_size,
                scan.uki->size);
  }
  UniqueFd uki = TRY_CONTEXT(where(), scan.content->Open(*scan.uki));
  if (Digest found = TRY_CONTEXT(where(), HashFile(uki.get(), release.uki_size));
      found != release.uki_digest) {
    return Fail(Code::kNotTrusted, "{}: expected SHA-256 {}, found {}", where(),
                release.uki_digest.Hex(), found.Hex());
  }
  const SealSize size = TRY(Measure(scan.tree));
  if (size.image != release.image_size)
    return Fail(Code::kNotTrusted, "commit {}: expected an image of {} bytes as signed, found {}",
                release.commit.Hex(), release.image_size, size.image);
  return Opened{std::move(scan), std::move(uki)};
}

Result<Space> StagingRepository::Free() const {
  return FreeSpaceAt(TRY(OpenRepository()).path());
}

Result<> StagingRepository::Discard() const {
  std::error_code error;
  std::filesystem::remove_all(options_.staging, error);
  if (error) return FailErrno(options_.staging, error.value());
  return {};
}

}  // namespace hostos

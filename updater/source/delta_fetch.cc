#include "updater/source/delta_fetch.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <utility>

#include "updater/base/atomic_file.h"
#include "updater/base/mask.h"
#include "updater/release/objects.h"
#include "updater/source/archive.h"
#include "updater/source/files.h"
#include "updater/source/pack_reader.h"
#include "updater/source/pull_watch.h"
#include "updater/source/repo_bases.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// More than any header of a content object with what updater/release/objects.h admits, in practice.
constexpr uint64_t kMaxHeaderBytes = 1 << 20;
constexpr uint64_t kSmallBytes = 64 << 10;  // an object that fits into memory

// Where the pack is received; one at a time.
std::string PartPath(const DeltaPack& pack, const Release& release, const SourceOptions& options) {
  return std::format("{}/packs/{}-{}", options.staging, release.root_hash.Short(),
                     pack.from.Short());
}

// What an object consists of: few bytes in memory, many in a file.
struct Unpacked {
  std::string bytes;
  UniqueFd file;
  uint64_t size = 0;  // of the file
};

Result<Unpacked> UnpackObject(const Repo& repo, PackReader& reader, size_t which,
                              PackBases& bases) {
  const ObjectSize& object = reader.object(which);
  const bool is_file = object.type == ObjectType::kFile;
  const uint64_t most = is_file ? object.unpacked + kMaxHeaderBytes
                                : std::min<uint64_t>(object.unpacked, kMaxMetadataBytes);
  Unpacked to;
  if (is_file && object.unpacked > kSmallBytes)
    to.file = TRY(Open(repo.path() + "/tmp", O_TMPFILE | O_RDWR, 0600));
  TRY(reader.Unpack(which, bases, most, [&](std::span<const std::byte> piece) -> Result<> {
    to.size += piece.size();
    if (to.file) return WriteFull(to.file.get(), piece);
    to.bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    return {};
  }));
  if (to.file && ::lseek(to.file.get(), 0, SEEK_SET) < 0) return FailErrno("lseek");
  return to;
}

// Stages the object, which is compared with its checksum.
Result<> Stage(Repo::Transaction& to, const ObjectSize& object, const Unpacked& from) {
  if (object.type != ObjectType::kFile)
    return to.WriteMetadata(object.type, object.checksum, from.bytes);
  if (!from.file) return to.WriteContent(object.checksum, from.bytes);
  return to.WriteContent(object.checksum, from.file.get(), from.size);
}

// A pack that is here: `size` bytes of a file from `begin` on. Objects that cannot be made of it
// are left out, and the first says why.
Result<FetchStats> Apply(Repo& repo, int file, uint64_t begin, uint64_t size,
                         const Commit& commit) {
  FetchStats stats;
  Result<PackReader> reader = PackReader::Open(file, begin, size, commit);
  if (!reader) {
    stats.problem = reader.error().message;
    return stats;
  }
  const FileSizeLimit limit(LargestObject(commit.sizes) + kMaxHeaderBytes);
  RepoBases bases(repo);
  Repo::Transaction transaction = TRY(Repo::Transaction::Begin(repo));
  Result<> full;
  const auto note = [&](const ObjectSize& object, const Result<>& staged) {
    if (staged) stats.objects += 1;
    if (!staged && staged.error().code == Code::kNoSpace) full = staged;
    if (!staged && stats.problem.empty())
      stats.problem = std::format("object {}: {}", object.checksum.Hex(), staged.error().message);
  };
  // While one object is staged, the next is unpacked.
  std::future<Result<>> staging;
  const ObjectSize* staged = nullptr;
  const auto finish = [&] {
    if (staged) note(*staged, staging.get());
    return std::exchange(staged, nullptr);
  };
  for (size_t i = 0; i < reader->objects() && full; i++) {
    const ObjectSize& object = reader->object(i);
    if (TRY(repo.Has(object.type, object.checksum))) continue;
    Result<Unpacked> unpacked = UnpackObject(repo, *reader, i, bases);
    const bool waited = finish();
    // The object before may be its base.
    if (!unpacked && waited) unpacked = UnpackObject(repo, *reader, i, bases);
    if (!unpacked) {
      note(object, std::unexpected(unpacked.error()));
      continue;
    }
    staged = &object;
    staging = std::async(std::launch::async, [&transaction, &object, from = *std::move(unpacked)] {
      return Stage(transaction, object, from);
    });
  }
  finish();
  TRY(transaction.Commit());  // what came before stays
  TRY(std::move(full));
  return stats;
}

Result<FetchStats> FromArchive(Repo& repo, const std::string& path, const Target& target,
                               const SourceOptions& options) {
  const Archive archive = TRY(Archive::Open(options.url));
  const Archive::File pack = TRY(archive.OpenFile(path));
  const off_t begin = ::lseek(pack.fd.get(), 0, SEEK_CUR);
  if (begin < 0) return FailErrno(path);
  return Apply(repo, pack.fd.get(), static_cast<uint64_t>(begin), pack.size, target);
}

Result<FetchStats> FromServer(Repo& repo, const std::string& path, const DeltaPack& pack,
                              const Target& target, const SourceOptions& options,
                              Progress& progress) {
  const std::string part = PartPath(pack, target.release, options);
  std::error_code error;
  for (fs::directory_iterator other(fs::path(part).parent_path(), error), end;
       !error && other != end; other.increment(error))
    if (std::error_code ignored; other->path() != part)  // of a release that was given up
      fs::remove_all(other->path(), ignored);
  TRY(MakeDirectories(fs::path(part).parent_path()));
  const UniqueFd file = TRY(Open(part, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  HttpClient http(options.http);
  uint64_t received = 0, objects = 0;
  // What was received before a power cut may be damaged: then all of it is received again, once.
  for (bool again = true;; again = false) {
    struct stat status;
    if (::fstat(file.get(), &status) < 0) return FailErrno(part);
    const bool resumed = status.st_size > 0;
    received += TRY(http.Download(options.url + "/" + path, file.get(), pack.size, progress));
    FetchStats stats = TRY(Apply(repo, file.get(), 0, pack.size, target));
    objects += stats.objects;
    if (stats.problem.empty() || !resumed || !again) {
      stats.objects = objects;
      stats.bytes = received;
      return stats;
    }
    if (::ftruncate(file.get(), 0) < 0) return FailErrno(part);
  }
}

}  // namespace

std::optional<DeltaPack> ChoosePack(const Target& target, const SourceOptions& options) {
  std::optional<DeltaPack> best;
  for (const DeltaPack& pack : target.packs)
    if (std::ranges::contains(options.holds, pack.from) && (!best || pack.size < best->size))
      best = pack;
  return best;
}

FetchPlan WithPack(FetchPlan plan, const DeltaPack& pack, const Target& target,
                   const SourceOptions& options) {
  std::error_code error;
  const uint64_t has = fs::file_size(PartPath(pack, target.release, options), error);
  const uint64_t left = pack.size - (error ? 0 : std::min(has, pack.size));
  if (plan.objects == 0 || (!IsLocal(options.url) && left >= plan.download_bytes)) return plan;
  plan.packed = true;
  plan.download_bytes = left;
  plan.unpacked_bytes += InBlocks(left);
  return plan;
}

void ForgetPacks(const SourceOptions& options) {
  std::error_code error;  // what stays is removed with the staging repository
  fs::remove_all(options.staging + "/packs", error);
}

Result<FetchStats> FetchPack(Repo& repo, const DeltaPack& pack, const Target& target,
                             const SourceOptions& options, Progress& progress) {
  const std::string path = PackPath(pack.from, target.release.root_hash);
  Result<FetchStats> stats = IsLocal(options.url)
                                 ? FromArchive(repo, path, target, options)
                                 : FromServer(repo, path, pack, target, options, progress);
  if (stats || stats.error().code == Code::kNoSpace) return stats;
  return FetchStats{.objects = 0, .bytes = 0, .problem = MaskedError(stats.error()).message};
}

}  // namespace hostos

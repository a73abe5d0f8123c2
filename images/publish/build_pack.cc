#include "images/publish/build_pack.h"

#include <sys/stat.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "images/publish/file_finder.h"
#include "images/publish/pack_bases.h"
#include "updater/base/unique_fd.h"
#include "updater/release/delta_pack.h"
#include "updater/release/objects.h"
#include "updater/source/repo_bases.h"

namespace hostos {
namespace {

constexpr uint64_t kLargestObject = 1 << 30;  // the builder holds an object in memory
constexpr uint64_t kPrefixBefore = 2 << 20;   // of the place in the base that a frame is at
constexpr int kWindowLog = 23;                // 8 MiB: a frame and its prefix
static_assert(kMaxFrameBytes + kMaxPrefixBytes <= 1 << kWindowLog);

using Compressor = std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)>;

Result<std::string> Compress(ZSTD_CCtx* zstd, std::string_view bytes, std::string_view prefix,
                             int level) {
  ZSTD_CCtx_reset(zstd, ZSTD_reset_session_and_parameters);
  ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, kWindowLog);
  ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 0);  // the index has it
  // Else a quick level looks only at the end of a long prefix.
  ZSTD_CCtx_setParameter(zstd, ZSTD_c_enableLongDistanceMatching, 1);
  ZSTD_CCtx_refPrefix(zstd, prefix.data(), prefix.size());
  std::string packed(ZSTD_compressBound(bytes.size()), '\0');
  const size_t size =
      ZSTD_compress2(zstd, packed.data(), packed.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size)) return Fail(Code::kFailed, "zstd: {}", ZSTD_getErrorName(size));
  packed.resize(size);
  return packed;
}

// The part of a base of `size` bytes that is most like what stands at `at` of `whole` bytes.
std::pair<uint64_t, uint64_t> PrefixFor(uint64_t at, uint64_t whole, uint64_t size) {
  const uint64_t length = std::min(size, kMaxPrefixBytes);
  const auto same = static_cast<uint64_t>(static_cast<double>(at) / static_cast<double>(whole) *
                                          static_cast<double>(size));
  return {std::min(same - std::min(same, kPrefixBefore), size - length), length};
}

// An object that the pack brings, and what it is made of.
struct Job {
  ObjectSize object;
  std::string path;
  std::optional<Digest> base;                 // at the same path in the release before
  std::vector<FileFinder::Found> files = {};  // of the release, in a boot image
  PackObject packed = {};                     // without the numbers of bases
  std::vector<Digest> copied = {};
  std::string frames = {};
};

Result<std::string> ReadObject(const Repo& repo, ObjectType type, const Digest& checksum) {
  return type == ObjectType::kFile ? repo.ReadContent(checksum, kLargestObject)
                                   : repo.ReadMetadata(type, checksum);
}

Result<std::string> ReadBase(const Repo& repo, const Job& job) {
  if (!job.base) return std::string();
  if (job.object.type != ObjectType::kFile) return repo.ReadMetadata(job.object.type, *job.base);
  std::string content(TRY(repo.ReadFileHeader(*job.base)).size, '\0');
  const UniqueFd file = TRY(repo.OpenContent(*job.base));
  TRY(ReadFull(file.get(), std::as_writable_bytes(std::span(content))));
  return content;
}

// The bytes of the object that no file of the release brings.
std::string TakeLiterals(Job& job, const std::string& bytes) {
  const uint64_t header = bytes.size() - job.object.unpacked;  // of a content object
  std::string literals;
  uint64_t at = 0;
  for (const FileFinder::Found& file : job.files) {
    const uint64_t before = header + file.offset - at;
    literals.append(bytes, at, before);
    job.packed.copies.push_back({.literals = before, .base = 0});
    job.copied.push_back(*Digest::FromHex(file.name));
    at += before + file.size;
  }
  return literals.append(bytes, at);
}

Result<> Pack(const Repo& repo, ZSTD_CCtx* zstd, int level, Job& job) {
  const std::string literals =
      TakeLiterals(job, TRY(ReadObject(repo, job.object.type, job.object.checksum)));
  const std::string base = TRY(ReadBase(repo, job));
  for (uint64_t at = 0; at < literals.size(); at += kMaxFrameBytes) {
    const std::string_view piece = std::string_view(literals).substr(at, kMaxFrameBytes);
    const auto [offset, length] = PrefixFor(at, literals.size(), base.size());
    const std::string frame =
        TRY(Compress(zstd, piece, std::string_view(base).substr(offset, length), level));
    job.packed.frames.push_back({.unpacked = piece.size(),
                                 .packed = frame.size(),
                                 .base = length > 0 ? 1u : 0u,
                                 .offset = offset,
                                 .length = length});
    job.frames += frame;
  }
  return {};
}

// Packs all, some at a time.
Result<> PackAll(const Repo& repo, int level, std::vector<Job>& jobs, Progress& progress) {
  std::atomic<size_t> next = 0;
  std::atomic<bool> stop = false;
  const auto work = [&]() -> Result<> {
    const Repo own = TRY(Repo::Open(repo.path()));
    const Compressor zstd(ZSTD_createCCtx(), &ZSTD_freeCCtx);
    for (size_t which; (which = next++) < jobs.size() && !stop;) {
      Result<> packed = Pack(own, zstd.get(), level, jobs[which]);
      if (!packed) stop = true;
      TRY_CONTEXT(jobs[which].path, std::move(packed));
    }
    return {};
  };
  std::vector<std::future<Result<>>> workers;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); i++)
    workers.push_back(std::async(std::launch::async, work));
  Result<> all;
  for (std::future<Result<>>& worker : workers) {
    while (worker.wait_for(Milliseconds(200)) != std::future_status::ready) {
      progress.Bytes(std::min<size_t>(next, jobs.size()), jobs.size());
      if (progress.Cancelled()) stop = true;
    }
    if (Result<> done = worker.get(); !done && all) all = std::move(done);
  }
  if (all && next < jobs.size()) return Fail(Code::kFailed, "interrupted");
  return all;
}

// What nodes hold of a release: all but what depends on the seal.
std::map<std::string, Digest> Held(std::map<std::string, Digest> paths) {
  std::erase_if(paths, [](const auto& entry) {
    return entry.first == "/" || entry.first.starts_with("/boot/");
  });
  return paths;
}

// By the process that unpacks, which has no privileges.
bool CanBeRead(const FileObject& file) {
  return S_ISREG(file.metadata.mode) && (file.metadata.mode & S_IROTH);
}
Result<bool> CanBeBase(const Repo& repo, ObjectType type, const Digest& checksum) {
  return type != ObjectType::kFile || CanBeRead(TRY(repo.ReadFileHeader(checksum)));
}

bool IsBootImage(std::string_view path) {
  return path == std::format("/{}/{}", kBootDirectory, kUkiFile);
}

// The objects that nodes which hold `from` lack, the boot image last: it is made of the others.
Result<std::vector<Job>> Missing(const Repo& repo, const Commit& from, const Commit& to) {
  const PathFinder bases(Held(TRY(WalkPaths(repo, from))));
  std::unordered_set<Digest> present;
  for (const ObjectSize& object : from.sizes) present.insert(object.checksum);
  std::unordered_map<Digest, std::string> path_of;
  const std::map<std::string, Digest> paths = TRY(WalkPaths(repo, to));
  for (const auto& [path, checksum] : paths) path_of.emplace(checksum, path);
  std::vector<Job> jobs;
  for (uint32_t place = 0; place < to.sizes.size(); place++) {
    const ObjectSize& object = to.sizes[place];
    if (present.contains(object.checksum)) continue;
    Job job{.object = object, .path = path_of[object.checksum], .base = {}};
    job.packed.place = place;
    if (object.unpacked > kLargestObject)
      return Fail(Code::kNotSupported, "{}: expected at most {} bytes in a delta pack, found {}",
                  job.path, kLargestObject, object.unpacked);
    const std::optional<Digest> base = bases.Find(job.path);
    if (base && !IsBootImage(job.path) && TRY(CanBeBase(repo, object.type, *base))) job.base = base;
    jobs.push_back(std::move(job));
  }
  std::ranges::sort(jobs, {}, [](const Job& job) {
    return std::pair(IsBootImage(job.path), std::string_view(job.path));
  });
  if (jobs.empty() || !IsBootImage(jobs.back().path)) return jobs;
  FileFinder finder([&](const std::string& name) -> Result<UniqueFd> {
    return repo.OpenContent(TRY(Digest::FromHex(name)));
  });
  for (const auto& [path, checksum] : paths)
    if (!path.ends_with('/') && !IsBootImage(path))
      if (const FileObject file = TRY(repo.ReadFileHeader(checksum)); CanBeRead(file))
        TRY(finder.Add(checksum.Hex(), file.size));
  Job& image = jobs.back();
  const std::string bytes = TRY(ReadObject(repo, image.object.type, image.object.checksum));
  image.files =
      TRY(finder.FindIn(std::string_view(bytes).substr(bytes.size() - image.object.unpacked)));
  return jobs;
}

// Numbers the bases, and puts the objects into their index.
PackIndex IndexOf(const std::vector<Job>& jobs) {
  PackIndex index;
  std::unordered_map<Digest, uint32_t> numbers;
  const auto number = [&](const Digest& base) {
    const auto [entry, added] = numbers.emplace(base, index.bases.size() + 1);
    if (added) index.bases.push_back(base);
    return entry->second;
  };
  for (const Job& job : jobs) {
    PackObject object = job.packed;
    for (PackFrame& frame : object.frames)
      if (frame.base > 0) frame.base = number(*job.base);
    for (size_t i = 0; i < object.copies.size(); i++) object.copies[i].base = number(job.copied[i]);
    index.objects.push_back(std::move(object));
  }
  return index;
}

// Unpacks all again.
Result<> Check(const Repo& repo, int file, uint64_t size, const Commit& to) {
  PackReader reader = TRY(PackReader::Open(file, 0, size, to));
  RepoBases bases(repo);
  for (size_t i = 0; i < reader.objects(); i++) {
    Sha256 hash;
    TRY(reader.Unpack(i, bases, 2 * kLargestObject,
                      [&](std::span<const std::byte> piece) -> Result<> {
                        hash.Update(piece);
                        return {};
                      }));
    if (const Digest found = hash.Finish(); found != reader.object(i).checksum)
      return Fail(Code::kFailed, "object {} comes out of the pack as {}",
                  reader.object(i).checksum.Hex(), found.Hex());
  }
  return {};
}

}  // namespace

Result<BuiltPack> BuildPack(const Repo& repo, const Commit& from, const Commit& to, int level,
                            const std::string& output, Progress& progress) {
  BuiltPack built;
  std::vector<Job> jobs = TRY(Missing(repo, from, to));
  TRY(PackAll(repo, level, jobs, progress));
  const std::string index = WritePackIndex(IndexOf(jobs));
  UniqueFd file = TRY(Open(output, O_RDWR | O_CREAT | O_TRUNC, 0644));
  TRY_CONTEXT(output, WriteFull(file.get(), AsBytes(index)));
  built.objects = jobs.size();
  built.bytes = index.size();
  for (const Job& job : jobs) {
    TRY_CONTEXT(output, WriteFull(file.get(), AsBytes(job.frames)));
    built.bytes += job.frames.size();
  }
  TRY_CONTEXT(output, Check(repo, file.get(), built.bytes, to));
  TRY_CONTEXT(output, file.Close());
  return built;
}

}  // namespace hostos

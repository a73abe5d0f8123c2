#include "tests/bench/delta_floor.h"

#include <sys/stat.h>
#include <zstd.h>

#include <atomic>
#include <bit>
#include <filesystem>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "images/publish/pack_bases.h"
#include "tests/bench/measure.h"
#include "tests/vm/process.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kLevel = 19;
constexpr int kLeastWindowLog = 23;  // of that level

struct NewFile {
  Digest content;
  std::optional<Digest> base;
};

// Each content once, without the boot image: it is made of the other files.
Result<std::vector<NewFile>> NewFiles(const Releases& releases) {
  const Repo repo = TRY(Repo::Open(releases.repo));
  const Commit from = TRY(repo.ReadCommit(releases.from));
  const PathFinder bases(TRY(WalkPaths(repo, from)));
  std::set<Digest> known;
  for (const ObjectSize& object : from.sizes) known.insert(object.checksum);
  const Commit to = TRY(repo.ReadCommit(releases.to));
  std::vector<NewFile> files;
  for (const auto& [path, content] : TRY(WalkPaths(repo, to)))
    if (!path.ends_with('/') && !path.starts_with("/boot/") && known.insert(content).second)
      files.push_back({content, bases.Find(path)});
  return files;
}

// Empty for a link.
Result<std::string> Content(const Repo& repo, const Digest& checksum) {
  const FileObject file = TRY(repo.ReadFileHeader(checksum));
  if (!S_ISREG(file.metadata.mode)) return std::string();
  std::string content(file.size, '\0');
  const UniqueFd from = TRY(repo.OpenContent(checksum));
  TRY(ReadFull(from.get(), std::as_writable_bytes(std::span(content))));
  return content;
}

// As `zstd -19 --patch-from` does it: the window has both.
Result<uint64_t> PatchBytes(ZSTD_CCtx* zstd, const std::string& content, const std::string& base) {
  const int both = std::bit_width(content.size() + base.size());
  ZSTD_CCtx_reset(zstd, ZSTD_reset_session_and_parameters);
  ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, kLevel);
  if (!base.empty()) {
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, std::max(both, kLeastWindowLog));
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_enableLongDistanceMatching, both > kLeastWindowLog);
    ZSTD_CCtx_refPrefix(zstd, base.data(), base.size());
  }
  std::string packed(ZSTD_compressBound(content.size()), '\0');
  const size_t size =
      ZSTD_compress2(zstd, packed.data(), packed.size(), content.data(), content.size());
  if (ZSTD_isError(size)) return Fail(Code::kFailed, "zstd: {}", ZSTD_getErrorName(size));
  return size;
}

Result<json> Floor(const Releases& releases) {
  const std::vector<NewFile> files = TRY(NewFiles(releases));
  std::atomic<size_t> next = 0;
  const auto work = [&]() -> Result<uint64_t> {
    const Repo repo = TRY(Repo::Open(releases.repo));
    const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> zstd(ZSTD_createCCtx(),
                                                                    &ZSTD_freeCCtx);
    uint64_t bytes = 0;
    for (size_t i; (i = next++) < files.size();) {
      const std::string content = TRY(Content(repo, files[i].content));
      std::string base;
      if (files[i].base) base = TRY(Content(repo, *files[i].base));
      if (!content.empty()) bytes += TRY(PatchBytes(zstd.get(), content, base));
    }
    return bytes;
  };
  std::vector<std::future<Result<uint64_t>>> workers;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); i++)
    workers.push_back(std::async(std::launch::async, work));
  uint64_t bytes = 0;
  for (auto& worker : workers) bytes += TRY(worker.get());
  return json(bytes);
}

}  // namespace

Result<uint64_t> DeltaFloor(const Releases& releases) {
  // A process that is forked later starts with this one's memory, so this one must stay small.
  return TRY(Measure([&] { return Floor(releases); })).said.get<uint64_t>();
}

Result<uint64_t> StaticDeltaBytes(const Releases& releases, const std::string& directory) {
  const std::string file = directory + "/static-delta";
  TRY(Process::Run({"ostree", "--repo=" + releases.repo, "static-delta", "generate",
                    "--from=" + releases.from.Hex(), "--to=" + releases.to.Hex(), "--inline",
                    "--min-fallback-size=0", "--filename=" + file},
                   directory + "/log"));
  std::error_code error;
  const uint64_t bytes = fs::file_size(file, error);
  if (error) return Fail(Code::kFailed, "{}: {}", file, error.message());
  return bytes;
}

}  // namespace hostos

#include "images/pack_release.h"

#include <filesystem>

#include "images/work_directory.h"
#include "updater/base/atomic_file.h"
#include "updater/release/commit.h"
#include "updater/release/release_target.h"
#include "updater/source/repo.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

Result<Commit> CommitOf(const Repo& repo, const PackOptions& options, const std::string& version) {
  return repo.ReadCommit(TRY(repo.ResolveRef(ReleaseRef(options.architecture, version))));
}

}  // namespace

Result<std::vector<MadePack>> PackRelease(const PackOptions& options, Progress& progress) {
  const Repo repo = TRY(Repo::Open(options.repo));
  const Commit to = TRY(CommitOf(repo, options, options.version));
  std::vector<Commit> all;  // before the first pack, which takes minutes
  for (const std::string& version : options.from)
    all.push_back(TRY(CommitOf(repo, options, version)));
  std::vector<MadePack> made;
  for (const Commit& from : all) {
    const Release& release = from.release;
    progress.Begin("pack", std::format("from {}", release.version));
    const std::string output =
        options.repo + "/" + PackPath(release.root_hash, to.release.root_hash);
    TRY(MakeDirectories(fs::path(output).parent_path()));
    const WorkDirectory work = TRY(WorkDirectory::Beside(output));
    const std::string path = work / "pack";
    const BuiltPack built = TRY(BuildPack(repo, from, to, options.level, path, progress));
    TRY(PublishFile(path, output));
    made.push_back({release.version, built});
  }
  return made;
}

Result<std::vector<DeltaPack>> PacksFor(const std::string& repo, const Digest& root_hash) {
  const fs::path folder = fs::path(repo + "/" + PackPath({}, root_hash)).parent_path();
  std::vector<DeltaPack> packs;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const Result<Digest> from = Digest::FromHex(entry->path().stem().string());
    if (!from || entry->path().extension() != ".pack") continue;  // one that is being made
    const uint64_t size = fs::file_size(entry->path(), error);
    if (!error) packs.push_back({*from, size});
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return FailErrno(folder.string(), error.value());
  std::ranges::sort(packs, {}, &DeltaPack::from);
  if (packs.size() <= kMaxPacks) return packs;
  return Fail(Code::kUsage,
              "{}: expected at most {} packs, found {}: remove those that no node needs",
              folder.string(), kMaxPacks, packs.size());
}

}  // namespace hostos

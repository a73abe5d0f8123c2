#include "images/publish_sbom.h"

#include <filesystem>

#include "images/commit_files.h"
#include "images/reseal.h"
#include "images/work_directory.h"
#include "updater/base/atomic_file.h"
#include "updater/base/sbom_path.h"
#include "updater/release/changes.h"

namespace hostos {
namespace {

constexpr std::pair<const char*, const char*> kFormats[] = {
    {"cdx", kCycloneDxPath}, {"spdx", kSpdxPath}, {kChangesFormat, kChangesPath}};

}  // namespace

Result<std::vector<SbomFile>> PutSboms(const Repo& repo, const Commit& commit,
                                       const ReleaseTarget& target) {
  std::vector<SbomFile> sboms;
  for (const auto& [format, path] : kFormats) {
    const std::optional<Digest> content = TRY_CONTEXT(path, FindFile(repo, commit, path));
    if (!content) continue;
    const std::string output = repo.path() + "/" + SbomPath(target, format);
    TRY(MakeDirectories(std::filesystem::path(output).parent_path()));
    const WorkDirectory work = TRY(WorkDirectory::Beside(output));
    const UniqueFd file = TRY(repo.OpenContent(*content));
    const Copied copied = TRY(CopyContent(file.get(), work / "sbom"));
    TRY(PublishFile(work / "sbom", output));
    sboms.push_back({format, copied.digest, copied.size});
  }
  return sboms;
}

}  // namespace hostos

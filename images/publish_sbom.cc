#include "images/publish_sbom.h"

#include <fcntl.h>

#include <filesystem>

#include "images/commit_files.h"
#include "images/provenance.h"
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
  const auto put = [&](const char* format, int content) -> Result<> {
    const std::string output = repo.path() + "/" + SbomPath(target, format);
    TRY(MakeDirectories(std::filesystem::path(output).parent_path()));
    const WorkDirectory work = TRY(WorkDirectory::Beside(output));
    const Copied copied = TRY(CopyContent(content, work / "sbom"));
    TRY(PublishFile(work / "sbom", output));
    sboms.push_back({format, copied.digest, copied.size});
    return {};
  };
  for (const auto& [format, path] : kFormats) {
    const std::optional<Digest> content = TRY_CONTEXT(path, FindFile(repo, commit, path));
    if (!content) continue;
    const UniqueFd file = TRY(repo.OpenContent(*content));
    TRY(put(format, file.get()));
  }
  // It says what the root hash is, so it cannot be in the root.
  const Result<UniqueFd> provenance =
      Open(repo.path() + "/" + ProvenancePath(target.root_hash), O_RDONLY);
  if (provenance)
    TRY(put(kProvenanceFormat, provenance->get()));
  else if (provenance.error().code != Code::kNotFound)
    return std::unexpected(provenance.error());
  return sboms;
}

}  // namespace hostos

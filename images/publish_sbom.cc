#include "images/publish_sbom.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include "images/provenance.h"
#include "images/publish/pack_bases.h"
#include "images/reseal.h"
#include "images/work_directory.h"
#include "updater/base/atomic_file.h"
#include "updater/base/sbom_path.h"
#include "updater/release/objects.h"

namespace hostos {
namespace {

constexpr std::pair<const char*, const char*> kFormats[] = {{"cdx", kCycloneDxPath},
                                                            {"spdx", kSpdxPath}};

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
  const std::map<std::string, Digest> paths = TRY(WalkPaths(repo, commit));
  for (const auto& [format, path] : kFormats) {
    const auto content = paths.find(path);
    if (content == paths.end()) continue;
    const FileObject header = TRY_CONTEXT(path, repo.ReadFileHeader(content->second));
    if (!S_ISREG(header.metadata.mode)) continue;
    const UniqueFd file = TRY(repo.OpenContent(content->second));
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

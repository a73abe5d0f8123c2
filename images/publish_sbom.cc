#include "images/publish_sbom.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <ranges>

#include "images/reseal.h"
#include "images/work_directory.h"
#include "updater/base/atomic_file.h"
#include "updater/base/sbom_path.h"
#include "updater/release/objects.h"

namespace hostos {
namespace {

constexpr std::pair<const char*, const char*> kFormats[] = {{"cdx", kCycloneDxPath},
                                                            {"spdx", kSpdxPath}};

// The content object of a path in the commit's root, if there is a regular file.
Result<std::optional<Digest>> FindFile(const Repo& repo, const Commit& commit,
                                       std::string_view path) {
  DirtreeEntry at = {.name = {},
                     .is_directory = true,
                     .checksum = commit.root_dirtree,
                     .dirmeta = commit.root_dirmeta};
  for (const auto part : std::views::split(path.substr(1), '/')) {
    if (!at.is_directory) return std::nullopt;
    const std::string bytes = TRY(repo.ReadMetadata(ObjectType::kDirtree, at.checksum));
    const std::vector<DirtreeEntry> entries = TRY(ParseDirtree(bytes));
    const auto next = std::ranges::find(entries, std::string_view(part), &DirtreeEntry::name);
    if (next == entries.end()) return std::nullopt;
    at = *next;
  }
  if (at.is_directory) return std::nullopt;
  const FileObject file = TRY(repo.ReadFileHeader(at.checksum));
  return S_ISREG(file.metadata.mode) ? std::optional(at.checksum) : std::nullopt;
}

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

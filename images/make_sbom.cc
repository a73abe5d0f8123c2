#include "images/make_sbom.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "images/sbom/cpio.h"
#include "images/sbom/sbom.h"
#include "images/sbom/source_changes.h"
#include "images/tree_files.h"
#include "images/tuf_fields.h"
#include "images/work_directory.h"
#include "updater/base/atomic_file.h"
#include "updater/base/clock.h"
#include "updater/base/release.h"
#include "updater/base/sbom_path.h"

namespace hostos {
namespace {

constexpr std::string_view kElf = "\x7f\x45LF";

Result<uint64_t> TimeOf(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) < 0) return FailErrno(path);
  return static_cast<uint64_t>(std::max<time_t>(status.st_mtime, 0));
}

// An image that is not in parts: those of the tree's files that stand in it as they are.
Result<BootImage> DescribeWhole(const std::string& tree, const std::string& name,
                                const std::string& image) {
  BootImage described = {.name = name,
                         .path = {},
                         .digest = Sha256::Of(AsBytes(image)),
                         .files = {},
                         .other_bytes = image.size()};
  std::set<uint64_t> found;
  for (const FileFinder::Found& file : TRY(FindTreeFiles(tree, image))) {
    described.files.push_back(file.name);
    described.other_bytes -= file.size;
    found.insert(file.offset);
  }
  for (const CpioFile& file : CpioFiles(image))
    if (!found.contains(file.offset) && image.compare(file.offset, kElf.size(), kElf) == 0)
      described.other_programs.push_back("/" + file.name);
  return described;
}

// The rescue that the tree brings, if any: its parts name their files.
Result<std::optional<BootImage>> DescribeRescue(const std::string& tree) {
  const std::string path(kRescuePath);
  Result<UniqueFd> file = PartsOf(tree)(path);
  if (!file && file.error().code == Code::kNotFound) return std::nullopt;
  const UniqueFd parts = TRY(std::move(file));
  std::string magic(kImagePartsMagic.size(), '\0');
  TRY(PreadFull(parts.get(), std::as_writable_bytes(std::span(magic)), 0));
  BootImage rescue;
  if (magic == kImagePartsMagic) {
    const OpenPart noted = [&, open = PartsOf(tree)](const std::string& part) -> Result<UniqueFd> {
      rescue.files.push_back(part);
      return open(part);
    };
    Sha256 hash;
    uint64_t size = 0;
    TRY(AssembleImage(parts.get(), kMaxBootImage, noted, [&](std::span<const std::byte> piece) {
      hash.Update(piece);
      size += piece.size();
      return Result<>();
    }));
    rescue.digest = hash.Finish();
    rescue.other_bytes = size;
    for (const std::string& part : rescue.files) {
      struct stat status;
      if (::lstat((tree + part).c_str(), &status) < 0) return FailErrno(tree + part);
      rescue.other_bytes -= static_cast<uint64_t>(status.st_size);
    }
  } else {
    const std::string image = TRY(ReadFile(tree + path, kMaxBootImage));
    rescue = TRY(DescribeWhole(tree, "rescue", image));
  }
  rescue.name = "rescue";
  rescue.path = path;
  return rescue;
}

Result<ReleaseChanges> ChangesOf(const Sbom& sbom, const std::string& changelogs) {
  constexpr uint64_t kThreeYears = uint64_t{3 * 365 + 1} * 86'400;
  ReleaseChanges changes = {.version = sbom.identity.image_version, .since = {}, .sources = {}};
  changes.since =
      FormatTimeIso(sbom.timestamp - std::min(sbom.timestamp, kThreeYears)).substr(0, 10);
  const std::vector<DebianPackage> packages(sbom.packages.begin(), sbom.packages.end());
  changes.sources = TRY(DescribeChanges(packages, changelogs, changes.since));
  return changes;
}

Result<> CheckChanges(const std::string& tree, const RootTree& root) {
  const std::string path = tree + kChangesPath;
  Result<std::string> read = ReadFile(path, kMaxChangesBytes);
  if (!read && read.error().code == Code::kNotFound) return {};
  const std::string text = TRY(std::move(read));
  const ReleaseChanges changes = TRY_CONTEXT(path, ParseChanges(text));
  const std::string status = TRY(ReadFile(tree + kDpkgPath + "/status", kMaxStatus));
  const std::vector<DebianPackage> packages = TRY(ParseStatus(status));
  std::vector<std::pair<std::string, std::string>> expected, found;
  for (const auto& [name, package] : DescribedSources(packages))
    expected.emplace_back(name, package.Described().version);
  for (const SourceChanges& source : changes.sources)
    found.emplace_back(source.name, source.version);
  if (changes.version == root.image_version && found == expected) return {};
  return Fail(
      Code::kFailed,
      "{}: expected what is in this tree, {} of {} sources, found what was in another, '{}' "
      "of {}: make it again: hostimage sbom --tree {} --changelogs DIR",
      path, root.image_version, expected.size(), changes.version, found.size(), tree);
}

}  // namespace

Result<MadeSbom> MakeSbom(const SbomOptions& options) {
  const std::string& tree = options.tree;
  const RootTree root = TRY(InspectRootTree(tree));
  SbomInput input = {.tree = tree,
                     .kernel = root.kernel.substr(tree.size()),
                     .kernel_version = root.kernel_version,
                     .images = {},
                     .timestamp = 0};
  input.timestamp = options.timestamp ? *options.timestamp : TRY(TimeOf(root.os_release));
  if (!options.initrd.empty()) {
    const std::string initrd = TRY(ReadFile(options.initrd, kMaxBootImage));
    input.images.push_back(TRY(DescribeWhole(tree, "initrd", initrd)));
  }
  if (auto rescue = TRY(DescribeRescue(tree))) input.images.push_back(*std::move(rescue));
  const Sbom sbom = TRY(DescribeRoot(input));
  std::vector<std::pair<const char*, std::string>> documents = {{kCycloneDxPath, CycloneDx(sbom)},
                                                                {kSpdxPath, Spdx(sbom)}};
  std::set<std::string> cves;
  if (!options.changelogs.empty()) {
    const ReleaseChanges changes = TRY(ChangesOf(sbom, options.changelogs));
    for (const SourceChanges& source : changes.sources)
      for (const SourceFix& fix : source.fixes) cves.insert(fix.cves.begin(), fix.cves.end());
    documents.emplace_back(kChangesPath, WriteChanges(changes));
    // Nodes would not take it.
    TRY_CONTEXT(options.changelogs, ParseChanges(documents.back().second));
  } else {
    TRY(RemoveFileDurably(tree + kChangesPath));  // of another release, on which this one is built
  }

  // Outside of the tree, so that an interruption leaves nothing in it.
  const WorkDirectory work = TRY(WorkDirectory::Beside(tree));
  for (const auto& [path, text] : documents)
    TRY(WriteFileAtomically(work / std::filesystem::path(path).filename().string(), text));
  for (const auto& [path, text] : documents) {
    const std::filesystem::path name(path);
    TRY(MakeDirectories(tree + name.parent_path().string()));
    TRY(PublishFile(work / name.filename().string(), tree + path));
  }
  return MadeSbom{sbom.packages.size(), sbom.sources.size(), sbom.programs.size(), cves.size()};
}

Result<> CheckSbom(const std::string& tree, const RootTree& root) {
  TRY(CheckChanges(tree, root));
  const Result<std::string> text = ReadFile(tree + kCycloneDxPath, kMaxSbomBytes);
  if (!text && text.error().code == Code::kNotFound) return {};
  const tuf::Json bom = tuf::Json::parse(TRY(text), nullptr, /*allow_exceptions=*/false);
  const auto member = [](const tuf::Json& object, const char* key) {
    return object.is_object() && object.contains(key) ? object[key] : tuf::Json();
  };
  const tuf::Json image = member(member(bom, "metadata"), "component");
  std::vector<std::pair<std::string, std::string>> packages;
  for (const tuf::Json& component : member(bom, "components"))
    if (const std::string url = TextIn(component, "purl");
        !url.empty() && !url.contains("?arch=source&"))
      packages.emplace_back(TextIn(component, "name"), TextIn(component, "version"));
  std::ranges::sort(packages);
  if (TextIn(image, "version") == root.image_version && packages == root.packages) return {};
  return Fail(
      Code::kFailed,
      "{}{}: expected what is in this tree, {} with {} packages, found what was in another, "
      "'{}' with {}: make it again: hostimage sbom --tree {}",
      tree, kCycloneDxPath, root.image_version, root.packages.size(), TextIn(image, "version"),
      packages.size(), tree);
}

}  // namespace hostos

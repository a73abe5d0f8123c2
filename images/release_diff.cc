#include "images/release_diff.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <ranges>

#include "bootctl/uki.h"
#include "images/commit_files.h"
#include "images/program.h"
#include "updater/base/sbom_path.h"
#include "updater/release/objects.h"

namespace hostos {
namespace {

constexpr size_t kMaxKernelConfig = 4 << 20;
constexpr std::string_view kModules = "/usr/lib/modules";
constexpr const char* kUki = "/boot/hostos.efi";

// The dirtree of a directory, or nothing.
using Place = std::optional<Digest>;

class FileComparison {
 public:
  FileComparison(const Repo& repo, std::vector<FileChange>& found) : repo_(repo), found_(found) {}

  // `path` is "" for the root.
  Result<> Compare(const std::string& path, const Place& before, const Place& after) {
    if (before == after) return {};
    TRY(CheckInterrupt());
    std::map<std::string, Pair> names;
    for (const auto& [place, side] : {std::pair(before, &Pair::before), {after, &Pair::after}})
      for (DirtreeEntry& entry : TRY(Entries(place))) {
        std::string name = entry.name;
        names[name].*side = std::move(entry);
      }
    if (path == kModules) PairKernels(names);
    for (const auto& [name, pair] : names) TRY(CompareEntries(path + "/" + name, pair));
    return {};
  }

 private:
  struct Pair {
    std::optional<DirtreeEntry> before, after;
  };

  Result<std::vector<DirtreeEntry>> Entries(const Place& place) const {
    if (!place) return std::vector<DirtreeEntry>();
    const std::string bytes = TRY(repo_.ReadMetadata(ObjectType::kDirtree, *place));
    return ParseDirtree(bytes);
  }

  // Where each release has one kernel, and of another version, its files are compared all the same.
  static void PairKernels(std::map<std::string, Pair>& names) {
    if (names.size() != 2) return;
    Pair &first = names.begin()->second, &second = names.rbegin()->second;
    if (first.before && !first.after && second.after && !second.before) {
      second.before = std::move(first.before);
      names.erase(names.begin());
    } else if (first.after && !first.before && second.before && !second.after) {
      first.before = std::move(second.before);
      names.erase(std::prev(names.end()));
    }
  }

  Result<> CompareEntries(const std::string& path, const Pair& pair) {
    const auto directory = [](const std::optional<DirtreeEntry>& entry) {
      return entry && entry->is_directory ? Place(entry->checksum) : std::nullopt;
    };
    TRY(Compare(path, directory(pair.before), directory(pair.after)));
    FileChange change = {.path = path};
    Place objects[2];
    for (const auto& [entry, there, size, object] :
         {std::tuple(&pair.before, &change.before, &change.size_before, &objects[0]),
          std::tuple(&pair.after, &change.after, &change.size_after, &objects[1])}) {
      if (!*entry || (*entry)->is_directory) continue;
      *there = true;
      *object = (*entry)->checksum;
    }
    if (objects[0] == objects[1]) return {};
    if (objects[0]) change.size_before = TRY(SizeOf(*objects[0]));
    if (objects[1]) change.size_after = TRY(SizeOf(*objects[1]));
    found_.push_back(std::move(change));
    return {};
  }

  Result<uint64_t> SizeOf(const Digest& object) const {
    return TRY(repo_.ReadFileHeader(object)).size;
  }

  const Repo& repo_;
  std::vector<FileChange>& found_;
};

// What a path says of a unit, if anything.
std::optional<UnitChange> UnitOf(const FileChange& file) {
  constexpr std::string_view kPlaces[] = {"/usr/lib/systemd/system/", "/etc/systemd/system/"};
  const char* word = !file.before ? "added" : !file.after ? "removed" : "changed";
  for (const std::string_view place : kPlaces) {
    if (!file.path.starts_with(place)) continue;
    const std::string rest = file.path.substr(place.size());
    const size_t slash = rest.find('/');
    if (slash == rest.npos) return UnitChange{rest, word, file.path};
    const std::string directory = rest.substr(0, slash), name = rest.substr(slash + 1);
    if (directory.ends_with(".d"))
      return UnitChange{directory.substr(0, directory.size() - 2), "changed", file.path};
    if (directory.ends_with(".wants") || directory.ends_with(".requires"))
      return UnitChange{name,
                        !file.before  ? "enabled"
                        : !file.after ? "disabled"
                                      : "changed",
                        file.path};
  }
  return std::nullopt;
}

// What differs between two maps of settings.
std::vector<SettingChange> CompareSettings(const std::map<std::string, std::string>& before,
                                           const std::map<std::string, std::string>& after) {
  std::map<std::string, SettingChange> all;
  for (const auto& [name, value] : before) all[name].from = value;
  for (const auto& [name, value] : after) all[name].to = value;
  std::vector<SettingChange> changes;
  for (auto& [name, change] : all) {
    if (change.from == change.to) continue;
    change.name = name;
    changes.push_back(std::move(change));
  }
  return changes;
}

// "CONFIG_X=y", and "# CONFIG_X is not set", which is "n".
std::map<std::string, std::string> ParseKernelConfig(std::string_view text) {
  std::map<std::string, std::string> options;
  for (const auto part : std::views::split(text, '\n')) {
    std::string_view line(part);
    constexpr std::string_view kUnset = " is not set";
    if (line.starts_with("# CONFIG_") && line.ends_with(kUnset)) {
      line.remove_prefix(2);
      options[std::string(line.substr(0, line.size() - kUnset.size()))] = "n";
    } else if (const size_t equals = line.find('=');
               line.starts_with("CONFIG_") && equals != line.npos) {
      options[std::string(line.substr(0, equals))] = line.substr(equals + 1);
    }
  }
  return options;
}

struct Kernel {
  std::string version;
  std::map<std::string, std::string> config, arguments;
};

Result<Kernel> KernelOf(const Repo& repo, const Commit& commit) {
  Kernel kernel;
  for (const std::string& name : TRY(ListDirectory(repo, commit, std::string(kModules)))) {
    const std::string path = std::format("{}/{}/", kModules, name);
    if (!TRY(FindFile(repo, commit, path + "vmlinuz"))) continue;
    kernel.version = name;
    const std::optional<Digest> config = TRY(FindFile(repo, commit, path + "config"));
    if (!config) continue;
    const std::string text =
        TRY_CONTEXT(path + "config", ReadObject(repo, *config, kMaxKernelConfig));
    kernel.config = ParseKernelConfig(text);
  }
  const std::optional<Digest> uki = TRY(FindFile(repo, commit, kUki));
  if (!uki) return kernel;
  const UniqueFd file = TRY(repo.OpenContent(*uki));
  const std::optional<Uki> image = TRY(ReadUki(file.get()));
  if (!image) return kernel;
  for (const auto part : std::views::split(image->command_line, ' ')) {
    const std::string_view argument(part);
    const std::string name(argument.substr(0, argument.find('=')));
    if (name.empty() || name == "roothash") continue;
    std::string& value = kernel.arguments[name];
    value += (value.empty() ? "" : " ") + std::string(argument);
  }
  return kernel;
}

Result<CveChanges> CompareCves(const Repo& repo, const Commit& from, const Commit& to) {
  const ReleaseChanges before = TRY(ChangesOf(repo, from));
  const ReleaseChanges after = TRY(ChangesOf(repo, to));
  return CompareChanges(before, after);
}

}  // namespace

Result<Commit> FindRelease(const Repo& repo, const std::string& architecture,
                           const std::string& name) {
  if (const Result<Digest> commit = Digest::FromHex(name)) return repo.ReadCommit(*commit);
  const std::string ref = name.contains('/') ? name : ReleaseRef(architecture, name);
  const Digest commit = TRY(repo.ResolveRef(ref));
  return TRY_CONTEXT(ref, repo.ReadCommit(commit));
}

Result<ReleaseChanges> ChangesOf(const Repo& repo, const Commit& commit) {
  const Result<std::string> text = ReadFileOf(repo, commit, kChangesPath, kMaxChangesBytes);
  if (!text && text.error().code == Code::kNotFound)
    return Fail(Code::kNotFound,
                "{} does not say what its packages fixed: it was made without hostimage sbom "
                "--changelogs",
                commit.release.version);
  return TRY_CONTEXT(commit.release.version, text.and_then(ParseChanges));
}

Result<ReleaseDiff> CompareReleases(const Repo& repo, const Commit& from, const Commit& to) {
  ReleaseDiff diff = {.from = from.release,
                      .to = to.release,
                      .packages = ComparePackages(from.release, to.release),
                      .cves = CompareCves(repo, from, to),
                      .files = {},
                      .units = {},
                      .kernel = {},
                      .arguments = {},
                      .kernel_before = {},
                      .kernel_after = {}};
  TRY(FileComparison(repo, diff.files).Compare("", from.root_dirtree, to.root_dirtree));
  for (const FileChange& file : diff.files)
    if (std::optional<UnitChange> unit = UnitOf(file)) diff.units.push_back(*std::move(unit));
  std::ranges::stable_sort(diff.units, {}, &UnitChange::unit);
  std::ranges::stable_sort(diff.files, std::greater(), [](const FileChange& file) {
    return std::max(file.size_before, file.size_after);
  });
  Kernel before = TRY_CONTEXT(from.release.version, KernelOf(repo, from));
  Kernel after = TRY_CONTEXT(to.release.version, KernelOf(repo, to));
  diff.kernel = CompareSettings(before.config, after.config);
  diff.arguments = CompareSettings(before.arguments, after.arguments);
  diff.kernel_before = std::move(before.version);
  diff.kernel_after = std::move(after.version);
  return diff;
}

}  // namespace hostos

#include "images/sbom/source_changes.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "images/sbom/changelog.h"
#include "updater/base/unique_fd.h"
#include "updater/release/debian_version.h"

namespace hostos {
namespace {

Result<SourceChanges> FromChangelog(const DebianPackage& package, const std::string& path,
                                    const std::string& since) {
  const DebianSource& source = package.source;
  SourceChanges changes = {.name = package.Described().name,
                           .version = package.Described().version,
                           .reaches = {},
                           .fixes = {}};
  Result<std::string> read = ReadFile(path, kMaxChangelog);
  if (!read && read.error().code == Code::kNotFound) return changes;
  const std::string text = TRY(std::move(read));
  std::vector<ChangelogEntry> entries = TRY(ParseChangelog(text, since));
  const auto own = std::ranges::find_if(entries, [&](const ChangelogEntry& entry) {
    return entry.name == source.name && entry.version == source.version;
  });
  if (own == entries.end())
    return Fail(Code::kFailed, "expected an entry {} ({}), as in the root, found {} ({}) first",
                source.name, source.version, entries[0].name, entries[0].version);
  // What only signs another source has the changes of that one, and a version of its own.
  own->version = changes.version;
  for (ChangelogEntry& entry : std::ranges::subrange(own, entries.end())) {
    changes.reaches = entry.version;
    if (!entry.cves.empty())
      changes.fixes.push_back({std::move(entry.version), std::move(entry.date),
                               std::move(entry.urgency), std::move(entry.cves)});
  }
  return changes;
}

}  // namespace

std::map<std::string, DebianPackage> DescribedSources(const std::vector<DebianPackage>& packages) {
  std::set<DebianSource> signs_others;
  for (const DebianPackage& package : packages)
    if (package.Described() != package.source) signs_others.insert(package.source);
  std::map<std::string, DebianPackage> sources;
  for (const DebianPackage& package : packages) {
    const DebianSource& described = package.Described();
    if (signs_others.contains(described)) continue;
    const auto [known, added] = sources.emplace(described.name, package);
    if (!added && CompareDebianVersions(described.version, known->second.Described().version) < 0)
      known->second = package;
  }
  return sources;
}

Result<std::vector<SourceChanges>> DescribeChanges(const std::vector<DebianPackage>& packages,
                                                   const std::string& directory,
                                                   const std::string& since) {
  if (std::error_code error; !std::filesystem::is_directory(directory, error))
    return Fail(Code::kNotFound,
                "{}: expected the directory of changelogs that rootfs/build makes, found none",
                directory);
  std::vector<SourceChanges> sources;
  for (const auto& [name, package] : DescribedSources(packages)) {
    const std::string path = directory + "/" + package.source.name;
    sources.push_back(TRY_CONTEXT(path, FromChangelog(package, path, since)));
  }
  return sources;
}

}  // namespace hostos

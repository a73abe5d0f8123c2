#include "images/deviations.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "images/publish/scan_directory.h"
#include "images/root_tree.h"
#include "updater/base/atomic_file.h"
#include "updater/source/scan.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// Of a file its checksum, which covers owner, mode and attributes; of a folder just those.
using Paths = std::map<std::string, std::string>;

void Collect(const Tree& tree, uint32_t directory, const std::string& path, Paths& paths) {
  for (const TreeEntry& entry : tree.directories[directory].entries) {
    const std::string below = path + "/" + entry.name;
    if (below == "/boot") continue;
    if (!entry.is_directory) {
      paths[below] = tree.files[entry.index].checksum.Hex();
      continue;
    }
    const Metadata& metadata = tree.directories[entry.index].metadata;
    std::string& text = paths[below];
    text = std::format("{} {} {:o}", metadata.uid, metadata.gid, metadata.mode);
    for (const Xattr& attribute : metadata.xattrs)
      text += std::format(" {}={}", attribute.name, attribute.value);
    Collect(tree, entry.index, below, paths);
  }
}

Paths PathsOf(const Tree& tree) {
  Paths paths;
  Collect(tree, 0, "", paths);
  return paths;
}

}  // namespace

Result<> WriteDeviations(const SignedRelease& release, const std::string& tree,
                         const std::vector<std::string>& arguments) {
  const std::string file = tree + std::string(kDeviationsPath);
  TRY(MakeDirectories(fs::path(file).parent_path()));
  TRY(WriteFileAtomically(file, ""));  // to be among them
  const Scan before = TRY(ScanCommit(release.repo, release.commit)),
             after = TRY(ScanDirectory(tree));
  const Paths old = PathsOf(before.tree), now = PathsOf(after.tree);
  std::vector<std::string> packages, added, changed, removed;
  const Release& facts = release.commit.release;
  const RootTree root = TRY(InspectRootTree(tree));
  for (const auto& package : root.packages)
    if (!std::ranges::contains(facts.packages, package))
      packages.push_back(package.first + " " + package.second);
  for (const auto& [path, content] : now) {
    const auto was = old.find(path);
    if (was == old.end()) added.push_back(path);
    if (was != old.end() && was->second != content) changed.push_back(path);
  }
  for (const auto& [path, content] : old)
    if (!now.contains(path)) removed.push_back(path);
  const nlohmann::ordered_json json = {{"release",
                                        {{"version", facts.version},
                                         {"channel", facts.channel},
                                         {"commit", facts.commit.Hex()},
                                         {"root_hash", facts.root_hash.Hex()}}},
                                       {"packages", packages},
                                       {"kernel_arguments", arguments},
                                       {"added", added},
                                       {"changed", changed},
                                       {"removed", removed}};
  return WriteFileAtomically(file, json.dump(2, ' ', /*ensure_ascii=*/true,
                                             nlohmann::ordered_json::error_handler_t::replace) +
                                       "\n");
}

}  // namespace hostos

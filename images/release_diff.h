// What is different between two releases of a repository, read from their commits: packages and the
// CVEs that they fixed, files, units, and how the kernel is built and started.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/release/changes.h"
#include "updater/release/commit.h"
#include "updater/source/repo.h"

namespace hostos {

// A file or link, with its bytes; what is not there has none.
struct FileChange {
  std::string path;
  bool before = false, after = false;  // in both: content, owner, mode or xattrs differ
  uint64_t size_before = 0, size_after = 0;
};

// A unit of systemd in the root, by its name.
struct UnitChange {
  std::string unit, change;  // "added", "changed", "enabled", ...
  std::string path;          // that says so
};

// An option of the kernel's configuration, or an argument; "" when it is not there.
struct SettingChange {
  std::string name, from, to;
};

struct ReleaseDiff {
  Release from, to;
  std::vector<PackageChange> packages;
  Result<CveChanges> cves;                  // the error says why they are not known
  std::vector<FileChange> files;            // the largest first
  std::vector<UnitChange> units;            // by name
  std::vector<SettingChange> kernel;        // by name
  std::vector<SettingChange> arguments;     // by name; without the root hash
  std::string kernel_before, kernel_after;  // versions
};

// By version, by ref, or by the 64 digits of a commit. Its signatures are not asked for.
Result<Commit> FindRelease(const Repo& repo, const std::string& architecture,
                           const std::string& name);

// Files below /usr/lib/modules/VERSION are compared with those of the other kernel, whatever its
// version, and have the path of the later release.
Result<ReleaseDiff> CompareReleases(const Repo& repo, const Commit& from, const Commit& to);

// What the packages of a release fixed, as its root says; kNotFound when it does not.
Result<ReleaseChanges> ChangesOf(const Repo& repo, const Commit& commit);

}  // namespace hostos

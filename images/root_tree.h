// What a release needs to know of the root file system it is made from: who it says it is, the one
// kernel it carries, and the packages it was made of.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

struct RootTree {
  std::string image_version;   // IMAGE_VERSION of os-release
  std::string os_release;      // path of the file
  std::string kernel_version;  // name of its folder in /usr/lib/modules
  std::string kernel;          // path of its vmlinuz
  // Name and version of every installed package, sorted; from dpkg's database.
  std::vector<std::pair<std::string, std::string>> packages;
};

// kFailed, saying what is missing or there too often, when `directory` is no root of ours.
Result<RootTree> InspectRootTree(const std::string& directory);

// The installed packages of a dpkg status file's text, sorted.
std::vector<std::pair<std::string, std::string>> InstalledPackages(std::string_view status);

}  // namespace hostos

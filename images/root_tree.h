// What a release needs to know about the root file system it is made from: its version, its one
// kernel, and the packages in it.
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
  // Name and version of every installed package, sorted, from dpkg's database.
  std::vector<std::pair<std::string, std::string>> packages;
};

// kFailed when `directory` is no HostOS root; the message says what is missing or there twice.
Result<RootTree> InspectRootTree(const std::string& directory);

// The installed packages, sorted, in the text of a dpkg status file.
std::vector<std::pair<std::string, std::string>> InstalledPackages(std::string_view status);

}  // namespace hostos

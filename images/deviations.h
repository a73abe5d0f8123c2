// What a root has that differs from the release it was made of, path by path and package by
// package. It lies in the root itself, so that whoever runs it can ask what is not the publisher's.
#pragma once

#include <string>
#include <string_view>

#include "images/signed_release.h"
#include "updater/base/result.h"

namespace hostos {

inline constexpr std::string_view kDeviationsPath = "/usr/share/hostos/deviations.json";

struct Deviations {
  std::vector<std::string> added, changed, removed;  // paths, sorted
  std::vector<std::string> packages;                 // "htop 3.4.1-5", as they were added
};

// Compares owners, modes, attributes and content of everything but /boot.
Result<Deviations> CompareWith(const SignedRelease& release, const std::string& tree);

// Writes them into the tree, with its own path among them.
Result<Deviations> WriteDeviations(const SignedRelease& release, const std::string& tree);

}  // namespace hostos

// What a root has that differs from the release it was made of, path by path and package by
// package. It lies in the root itself, so that whoever runs it can ask what is not the publisher's.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "images/signed_release.h"
#include "updater/base/result.h"

namespace hostos {

inline constexpr std::string_view kDeviationsPath = "/usr/share/hostos/deviations.json";

inline constexpr size_t kMaxDeviations = 64 << 20;

// Compares owners, modes, attributes and content of everything but /boot, and writes the result into
// the tree, with its own path in it, and with the arguments that the kernel gets beside those of the
// release.
Result<> WriteDeviations(const SignedRelease& release, const std::string& tree,
                         const std::vector<std::string>& arguments);

}  // namespace hostos

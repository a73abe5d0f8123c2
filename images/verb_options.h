// What the verbs share: options that mean the same everywhere, and printing of results.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "images/arguments.h"
#include "updater/base/printable.h"
#include "updater/release/release_target.h"

namespace hostos {

using Json = nlohmann::ordered_json;

inline constexpr Option kRepo = {"repo", "DIR", Times::kOnce, "the archive repository"};
inline constexpr Option kArchitecture = {"architecture", "ARCH", Times::kAtMostOnce,
                                         "x86-64 (default) or arm64"};
inline constexpr Option kProduct = {"product", "NAME", Times::kAtMostOnce, "(default hostos)"};
inline constexpr Option kJson = {"json", "", Times::kAtMostOnce, "print the result as JSON"};

inline std::string ArchitectureFrom(const Arguments& arguments) {
  return arguments.GetOr("architecture", "x86-64");
}

inline std::string ProductFrom(const Arguments& arguments) {
  return arguments.GetOr("product", "hostos");
}

inline void Print(const std::string& text) {
  (void)std::fputs(Printable(text).c_str(), stdout);  // main flushes and checks
}

inline void Print(const Json& json) {
  // ASCII only, so that text from others cannot control a terminal.
  Print(json.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n");
}

inline Json ToJson(const ReleaseTarget& release) {
  return {{"version", release.version},
          {"channel", release.channel},
          {"index", release.index},
          {"minimum_index", release.minimum_index},
          {"commit", release.commit.Hex()}};
}

}  // namespace hostos

// What the verbs share: options that mean the same everywhere, and printing of results.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "images/arguments.h"
#include "images/program.h"
#include "updater/base/printable.h"
#include "updater/base/progress.h"
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

// Prints phases on stderr, one line each; the log of a release tool needs no more.
class PhaseLines : public Progress {
 public:
  void Begin(std::string_view phase, std::string_view detail) override {
    (void)std::fputs(Printable(std::format("{:<8} {}\n", phase, detail)).c_str(), stderr);
  }
  void Bytes(uint64_t, uint64_t) override {}
  bool Cancelled() override { return !CheckInterrupt(); }
};

inline Json ToJson(const ReleaseTarget& release) {
  return {{"version", release.version},
          {"channel", release.channel},
          {"index", release.index},
          {"minimum_index", release.minimum_index},
          {"commit", release.commit.Hex()}};
}

}  // namespace hostos

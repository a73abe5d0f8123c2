// What the verbs share: options that mean the same everywhere, and printing of results.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "images/arguments.h"
#include "images/program.h"
#include "updater/base/clock.h"
#include "updater/base/printable.h"
#include "updater/base/progress.h"
#include "updater/base/release.h"
#include "updater/release/release_target.h"
#include "updater/release/signature.h"

namespace hostos {

using Json = nlohmann::ordered_json;

inline constexpr Option kRepo = {"repo", "DIR", Times::kOnce, "the archive repository"};
inline constexpr Option kKeys = {"keys", "DIR", Times::kAtLeastOnce,
                                 "a directory of trusted *.pub keys"};
inline constexpr Option kRequired = {"required", "N", Times::kAtMostOnce,
                                     "how many of the keys must have signed (default 1)"};
inline constexpr Option kSignatures = {
    "signatures", "POLICY", Times::kAtMostOnce,
    "which must be there: hybrid (default: both), classical, pq"};
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

inline Result<SignatureRule> RuleFrom(const Arguments& arguments) {
  const uint64_t required = TRY(arguments.Number("required")).value_or(1);
  if (required < 1 || required > 64)
    return Fail(Code::kUsage, "--required: expected 1 to 64 keys, found {}", required);
  const std::string name = arguments.GetOr("signatures", "hybrid");
  const std::optional<SignaturePolicy> policy = PolicyNamed(name);
  if (!policy)
    return Fail(Code::kUsage, "--signatures: expected classical, hybrid or pq, found '{}'", name);
  return SignatureRule{*policy, static_cast<uint32_t>(required)};
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

inline Json ToJson(const Release& release) {
  const std::optional<RescueImage>& rescue = release.rescue;
  return {{"commit", release.commit.Hex()},
          {"version", release.version},
          {"architecture", release.architecture},
          {"channel", release.channel},
          {"timestamp", FormatTimeIso(release.timestamp)},
          {"seal_format", release.seal_format},
          {"root_hash", release.root_hash.Hex()},
          {"image_size", release.image_size},
          {"verity_size", release.verity_size},
          {"uki_sha256", release.uki_digest.Hex()},
          {"uki_size", release.uki_size},
          {"rescue_sha256", rescue ? Json(rescue->digest.Hex()) : Json()},
          {"rescue_size", rescue ? Json(rescue->size) : Json()},
          {"packages", release.packages.size()}};
}

inline Json ToJson(const ReleaseTarget& release) {
  return {{"version", release.version},
          {"channel", release.channel},
          {"index", release.index},
          {"minimum_index", release.minimum_index},
          {"commit", release.commit.Hex()}};
}

}  // namespace hostos

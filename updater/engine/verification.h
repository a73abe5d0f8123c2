// How the last `hostctl verify` of a slot ended: <state>/verified-a.json and verified-b.json, kept
// until the slot is written again. It only explains. docs/state-record.md is its contract.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "updater/engine/state_dir.h"

namespace hostos {

struct Verification {
  static constexpr uint32_t kFormat = 1;

  uint64_t time = 0;    // seconds since the epoch
  Digest root_hash;     // of the slot at that time, by its partitions
  std::string problem;  // "" when proven; else what differs, and where

  bool proven() const { return problem.empty(); }
};

std::string ToJson(const Verification& verification);
Result<Verification> VerificationFromJson(std::string_view text);

Result<> SaveVerification(const StateDir& state, Slot slot, const Verification& verification);
// Called before the slot is written.
Result<> ForgetVerification(const StateDir& state, Slot slot);
// `root_hash` is what the slot has now. Absent when that root was not verified, or when it is not
// known. `problems` gets a damaged file.
std::optional<Verification> ReadVerification(const StateDir& state, Slot slot,
                                             const Digest& root_hash,
                                             std::vector<std::string>& problems);

}  // namespace hostos

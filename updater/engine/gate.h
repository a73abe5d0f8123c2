// The health gate, which runs once in every boot, before boot-complete.target. It settles what the
// last boot left and decides the release on trial: bless and commit, or mark bad and reboot. Only
// the boot entry decides. What fails after a bless is redone by the gate of the next boot.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "updater/engine/config.h"
#include "updater/engine/world.h"

namespace hostos {

struct GateResult {
  std::string version;    // of the running release, as far as it is known
  bool on_trial = false;  // false: nothing to decide in this boot
  Verdict verdict;
  bool rebooting = false;
  bool given_up = false;             // given up before this boot; this boot marked it bad
  std::optional<SelfTest> selftest;  // as of this boot; kRunning: rebooting for the next one
  // What failed without affecting the decision: the record, the floor, the removal of files. It
  // does not fail the gate's unit: a failed unit would be held against the next release.
  std::vector<std::string> problems;
  bool rescue_renewed = false;  // the rescue on the ESP is now the running release's
  std::string rescue_problem;   // why it is not, though it is due; the old one stays
};

// Settles what the last boot left, and continues a self-test of the boot loader. If the running
// release is on trial, waits for its health: blesses and commits it, or marks it bad and reboots. A
// release that was good before is kept and recorded as degraded when there is nothing to fall back
// to. Last, replaces the rescue on the ESP with that of the running release, if that one is kept.
Result<GateResult> RunGate(World& world, const Config& config);

}  // namespace hostos

// Why a release failed: one small file per failure. The gate that fails the release begins it
// before rebooting; the old release completes it with what the failed boots left behind. It only
// explains: if it cannot be written, nothing else changes. docs/state-record.md is its contract.
#pragma once

#include <string>
#include <vector>

#include "updater/engine/record.h"
#include "updater/engine/world.h"

namespace hostos {

struct PostMortem {
  static constexpr uint32_t kFormat = 1;
  static constexpr size_t kLimit = 20;  // the newest are kept

  ReleaseId release;
  Slot slot = Slot::B;
  std::string from;      // version that ran before
  uint64_t started = 0;  // when the update, or the probation, began
  uint64_t time = 0;     // of the history entry; 0 until the old release runs again
  uint32_t boots = 0;
  std::string phase;                // "early boot", "boot", "health gate", "probation"
  std::string check;                // that failed; "" when no gate recorded one
  std::string reason, output;       // as in the history
  std::string cause;                // of the last reset, as far as it is known
  std::vector<CheckResult> checks;  // of the gate's last round
  std::vector<BootTrace> traces;    // of the release's boots
  std::string kernel;               // its last lines, from pstore
  bool watchdog = false;
};

std::string ToJson(const PostMortem& post_mortem);
Result<PostMortem> PostMortemFromJson(std::string_view text);

// Called before the reboot: saves what the gate saw.
Result<> BeginPostMortem(World& world, const UpdateRecord& update, const Verdict& verdict);

// Called from the old release or the rescue system: collects what the boots of `update` left; the
// update ended as `entry` says. The kernel's lines and the watchdog tell of the last boot, so they
// are taken only if that was one of its own (`booted_last`).
Result<PostMortem> FinishPostMortem(World& world, const UpdateRecord& update,
                                    const HistoryEntry& entry, bool booted_last);

// For a release that went bad in its probation, which began at `began`.
Result<> PostMortemOfProbation(World& world, const HistoryEntry& entry, uint64_t began,
                               const Verdict& verdict);

// Those that can be read, oldest first. Damaged files are named in `problems`.
std::vector<PostMortem> ReadPostMortems(const World& world,
                                        std::vector<std::string>* problems = nullptr);

}  // namespace hostos

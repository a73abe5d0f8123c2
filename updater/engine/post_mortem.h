// Why a release failed, one small file a failure: begun by the gate that fails it, before it
// reboots, and completed from the old release with what the failed boots left behind. Explains, and
// decides nothing: one that cannot be written is only missing. docs/state-record.md.
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
  uint64_t started = 0;  // of the update
  uint64_t time = 0;     // of its entry in the history; 0 until the old release runs again
  uint32_t boots = 0;
  std::string phase;                // "early boot", "boot", "health gate", "probation"
  std::string check;                // that failed; "" when no gate said so
  std::string reason, output;       // as in the history
  std::string cause;                // of the last reset, as far as it is known
  std::vector<CheckResult> checks;  // of the gate's last round
  std::vector<BootTrace> traces;    // of the release's boots
  std::string kernel;               // its last lines, from pstore
  bool watchdog = false;
};

std::string ToJson(const PostMortem& post_mortem);
Result<PostMortem> PostMortemFromJson(std::string_view text);

// Before the reboot: what the gate saw.
Result<> BeginPostMortem(World& world, const UpdateRecord& update, const Verdict& verdict);

// From the old release, or the rescue system: what is left of the boots of `update`, which ended as
// `entry` says. Kernel and watchdog tell of the last boot, which was its own if it `booted_last`.
Result<PostMortem> FinishPostMortem(World& world, const UpdateRecord& update,
                                    const HistoryEntry& entry, bool booted_last);

// Of a release that went bad in the probation that began then.
Result<> PostMortemOfProbation(World& world, const HistoryEntry& entry, uint64_t began,
                               const Verdict& verdict);

// Those that can be read, oldest first; `problems` gets those that are damaged.
std::vector<PostMortem> ReadPostMortems(const World& world,
                                        std::vector<std::string>* problems = nullptr);

}  // namespace hostos

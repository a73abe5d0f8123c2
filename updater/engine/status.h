// What is known about this system, gathered from the evidence and the record without changing
// either. hostctl prints it as text or JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "updater/engine/reconcile.h"
#include "updater/engine/rescue_image.h"
#include "updater/engine/support.h"
#include "updater/engine/verification.h"
#include "updater/engine/world.h"

namespace hostos {

enum class SlotCondition {
  kEmpty,    // nothing that boots
  kFactory,  // installed with the disk; never needed a trial
  kBlessed,  // passed its trial
  kTrial,    // runs, and is still counted
  kArmed,    // boots next for the first time
  kBad,      // no tries left: fell back or rolled back
};
const char* Name(SlotCondition condition);

struct SlotStatus {
  Slot slot = Slot::A;
  SlotCondition condition = SlotCondition::kEmpty;
  std::optional<Release> release;   // from the kept commit, verified; absent when not known
  std::optional<Digest> root_hash;  // what the partitions claim
  bool running = false;
  bool boots_next = false;
  std::optional<Tries> tries;
  uint64_t blessed_at = 0;               // 0: not known
  std::string reason;                    // of kBad
  std::optional<Verification> verified;  // how the last `hostctl verify` of its content ended
};

struct Status {
  SlotStatus slots[2];
  std::string version;  // of the running release
  std::string channel, architecture;
  Support support;                       // of the running release
  std::optional<UpdateRecord> update;    // in progress, after reconciling
  std::optional<HistoryEntry> fallback;  // the last one, until a newer release is committed
  std::optional<HistoryEntry> degraded;  // what runs went bad, and stays
  std::optional<HistoryEntry> last;      // the newest entry of the history
  // What the update in progress moved over the network so far, or else the last one of which that
  // is known.
  std::optional<Traffic> traffic;
  std::vector<Denied> denied;
  // What failed before the update in progress, or else before the last one: checks and their parts.
  std::vector<std::string> known;
  uint64_t checked = 0;
  uint64_t index_floor = 0;          // index of the newest committed release
  std::optional<SelfTest> selftest;  // of the boot loader: in progress, or the last one
  RescueStatus rescue;
  bool etc_in_memory = false;         // changes to /etc are lost at the next boot
  std::vector<std::string> twins;     // as in BootState
  std::vector<std::string> problems;  // what exists but cannot be read: where, and why
};

Result<Status> ReadStatus(World& world);

// Whether a slot holds, byte for byte, what its kept signed commit says.
struct SlotProof {
  Slot slot = Slot::A;
  std::optional<Release> release;
  bool proven = false;
  std::string problem;  // "" when proven; else what differs, and where
};
Result<SlotProof> VerifySlot(World& world, Slot slot, Progress& progress);

}  // namespace hostos

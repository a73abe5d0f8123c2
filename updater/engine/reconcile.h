// Record against evidence, evidence wins. A pure function of the two says what happened since the
// record was written; Settle() writes its conclusion down.
#pragma once

#include <string>

#include "bootctl/boot_control.h"
#include "updater/engine/record.h"

namespace hostos {

enum class Situation {
  kIdle,         // no update in progress
  kInterrupted,  // an update stopped before its release was armed: run it again
  kStaged,       // armed in this boot; waits for a reboot
  kNotTried,     // armed, rebooted, but the loader did not even try it
  kOnTrial,      // the target runs, and is counted
  kPassed,       // the target runs, and is blessed: the commit is to be finished
  kFellBack,     // the target was tried, and the release before it runs again
  kVanished,     // armed, rebooted, and its boot entry is gone
};
const char* Name(Situation situation);

Situation Reconcile(const Record& record, const BootState& boot, const std::string& boot_id);

// Carries the record forward to what Reconcile found: finishes a commit (floor, history), records a
// fallback with its reason and denies the release. Pure: the caller persists the result.
Record Settle(Record record, const BootState& boot, const std::string& boot_id, uint64_t now);

}  // namespace hostos

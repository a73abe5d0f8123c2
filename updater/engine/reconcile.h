// Compares the record with the evidence; the evidence wins. Reconcile() is a pure function that
// says what happened since the record was written. Settle() writes its conclusion into the record.
#pragma once

#include <string>

#include "bootctl/boot_control.h"
#include "updater/engine/record.h"

namespace hostos {

enum class Situation {
  kIdle,         // no update in progress
  kInterrupted,  // an update stopped before its release was armed: run it again
  kStaged,       // armed in this boot; waits for a reboot
  kNotTried,     // armed and rebooted, but the loader did not even try it
  kOnTrial,      // the target runs, and is counted
  kPassed,       // the target runs, and is blessed: the commit must be finished
  kFellBack,     // the target was tried, and the release before it runs again
  kVanished,     // armed and rebooted, but its boot entry is gone
};
const char* Name(Situation situation);

Situation Reconcile(const Record& record, const BootState& boot, const std::string& boot_id);

// Carries the record forward to what Reconcile() found: finishes a commit (floor, history), or
// records a fallback with its reason and denies the release. Pure: the caller saves the result.
Record Settle(Record record, Situation found, const BootState& boot, const std::string& boot_id,
              uint64_t now);
inline Record Settle(const Record& record, const BootState& boot, const std::string& boot_id,
                     uint64_t now) {
  return Settle(record, Reconcile(record, boot, boot_id), boot, boot_id, now);
}

}  // namespace hostos

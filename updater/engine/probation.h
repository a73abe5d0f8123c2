// After a release is blessed: watches its health for a while, and counts the good releases again
// before a planned reboot. Each decision is made under the lock, after a new look at the machine.
#pragma once

#include "updater/engine/config.h"
#include "updater/engine/world.h"

namespace hostos {

enum class ProbationEnd {
  kNone,       // what runs is not on probation, or no longer
  kPassed,     // healthy until the end
  kDegraded,   // went bad: recorded, and it stays
  kFellBack,   // went bad: given up; the reboot into the other slot has begun
  kOvertaken,  // went bad, but was already rolled back, or counted for a planned reboot
};

struct ProbationResult {
  ProbationEnd end = ProbationEnd::kNone;
  ReleaseId release;
  Verdict verdict;
};

// Watches the running release until its probation ends. Returns at once unless it was committed
// last.
Result<ProbationResult> WatchProbation(World& world, const Config& config);

// Called before a planned reboot: gives every good release `config.tries` tries again, the one that
// boots next and the one it falls back to, so that none of them is tried for ever. Does nothing
// when there is nothing else to boot. Returns whether any was counted.
Result<bool> Recount(World& world, const Config& config);

}  // namespace hostos

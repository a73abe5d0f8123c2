// Gives up the running release for the one in the other slot. The record is written first, then the
// boot entry changes. If something comes between the two, FlipIsMissing() tells, and the gate or
// the probation finishes the job.
#pragma once

#include "updater/engine/view.h"

namespace hostos {

// The release in the other slot, if it was once good; else kNotFound.
Result<ReleaseId> GoodOther(World& world, const View& view);

// Makes `other` boot next, and denies what runs: `outcome` is kRolledBack or kFellBack.
Result<> GiveUpRunning(World& world, View& view, const ReleaseId& other, Outcome outcome,
                       const std::string& reason, const std::string& output = "");

// True if the loader has another slot to take.
bool CanFallBack(const BootState& boot);

// True if the record gives up what runs, but its boot entry was not changed: a crash or a power cut
// came in between.
bool FlipIsMissing(const Record& record, const BootState& boot);

// Makes the release in the other slot boot next, if it was once good, and denies what runs with
// `reason`. If an update is staged, cancels that instead, and what runs stays. Returns the release
// that boots next.
Result<ReleaseId> Rollback(World& world, std::string_view reason);

}  // namespace hostos

// Giving up the release that runs, for the one in the other slot.
#pragma once

#include "updater/engine/view.h"

namespace hostos {

// The release in the other slot, when it was once good; else kNotFound.
Result<ReleaseId> GoodOther(World& world, const View& view);

// Makes `other` boot next, and denies what runs: `outcome` is kRolledBack or kFellBack.
Result<> GiveUpRunning(World& world, View& view, const ReleaseId& other, Outcome outcome,
                       const std::string& reason, const std::string& output = "");

// Whether the loader has another slot to take.
bool CanFallBack(const BootState& boot);

// Whether what runs was given up, and something came between its record and the flip.
bool FlipIsMissing(const Record& record, const BootState& boot);

}  // namespace hostos

// What a verb of the engine decides on: the evidence, and the record reconciled with it. The caller
// holds the lock.
#pragma once

#include <string>

#include "updater/engine/reconcile.h"
#include "updater/engine/world.h"

namespace hostos {

struct View {
  BootState boot;
  RunningRelease running;
  Record record;
  std::string boot_id;
};

// One look at a machine that runs a release. Saves nothing, except that LoadRecord() replaces a
// damaged record.
Result<View> Look(World& world);
// kNotSupported in the rescue system.
Result<RunningRelease> RunningIn(const BootState& boot);

// Settle(), for what runs first after a release. If that fell back, what its boots left goes into
// its post-mortem, and the cause of the last reset into the reason.
void SettleAndExplain(World& world, Record& record, Situation found, const BootState& boot,
                      const std::string& boot_id);

// Records and saves that the release in the slot, which was good before, is counted again, with
// `from` behind it.
Result<> RecordRecount(World& world, Record& record, const std::string& boot_id, Slot slot,
                       const ReleaseId& target, const ReleaseId& from);

}  // namespace hostos

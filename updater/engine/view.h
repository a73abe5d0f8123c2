// What a verb of the engine decides on: the evidence, and the record brought in line with it.
#pragma once

#include <string>

#include "updater/engine/world.h"

namespace hostos {

struct View {
  BootState boot;
  Record record;
  std::string boot_id;
};

// One look at the machine. Saves nothing.
Result<View> Look(World& world);

// Settle(), by what runs first after a release: of one that fell back, what its boots left behind
// goes into its post-mortem, and the cause of the last reset into the reason.
void SettleAndExplain(World& world, Record& record, const BootState& boot,
                      const std::string& boot_id);

// Into the record, and saved: the release in the slot, which was good before, is to be counted
// again, with `from` behind it.
Result<> RecordRecount(World& world, View& view, Slot slot, const ReleaseId& target,
                       const ReleaseId& from);

}  // namespace hostos

// The rescue system, which boots when neither slot has tries left. It makes one slot boot again and
// leaves the other one alone. A slot gets its tries back only if every byte of it is as signed.
#pragma once

#include "updater/engine/update.h"

namespace hostos {

// The slot worth saving: the one with the release that was good last.
Slot SlotToRescue(const Record& record, const BootState& boot);

enum class RescueEnd {
  kIndeterminate,  // the slot is intact: it has tries again
  kReinstalled,    // written again from the source of releases
};

struct RescueResult {
  RescueEnd end = RescueEnd::kIndeterminate;
  Slot slot = Slot::A;
  std::string version;
};

// Works on the slot that the boot state does not keep; the boot state must be the rescue system's.
// If every byte of the slot is as signed, power or something else outside of it ended its boots:
// the slot only gets its tries back, after a pause. Otherwise the release that it held is installed
// again, or the channel's newest if that one is not known or cannot be had. Only a reboot is left
// to do.
Result<RescueResult> Rescue(World& world, const Config& config, Progress& progress);

}  // namespace hostos

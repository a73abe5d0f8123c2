// The rescue system, which boots when neither slot has tries left: it makes one slot boot again.
#pragma once

#include "updater/engine/update.h"

namespace hostos {

// The slot worth saving: the one with the release that was good last.
Slot SlotToRescue(const Record& record, const BootState& boot);

enum class RescueEnd {
  kTryAgain,     // nothing is wrong with the slot: it has tries again
  kReinstalled,  // written again from the source of releases
};

struct RescueResult {
  RescueEnd end = RescueEnd::kTryAgain;
  Slot slot = Slot::A;
  std::string version;
};

// Works on the slot that the boot state, which must be of the rescue system, does not keep. A slot
// whose every byte is as signed only gets its tries back, after a pause: then it was power or
// something else outside of it that ended its boots. Else the release that it held is installed
// again, or, when that is not known, the channel's newest. A reboot is all that is left to do.
Result<RescueResult> Rescue(World& world, const Config& config, Progress& progress);

}  // namespace hostos

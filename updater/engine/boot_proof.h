// What can change what a boot runs, beside the slots: every file on the ESP, what the firmware
// keeps for the loader and for systemd, and the command line that this boot got. Compared with what
// a release here signed; what none did is told, with what it can do.
#pragma once

#include <string>
#include <vector>

#include "updater/engine/world.h"

namespace hostos {

struct Unsigned {
  std::string what;  // "loader/addons/site.addon.efi", "EFI variable SystemdOptions"
  std::string can;   // what it does, or may do, and what was found
};

struct BootProof {
  std::vector<Unsigned> unsigned_items;  // an operator's addon is one too: no fault by itself
  std::string problem;  // "" unless this boot got another command line than its image brings
};

// `running_proven`: the running slot is as signed, and so is what it says of its boot loader.
Result<BootProof> VerifyBoot(World& world, bool running_proven);

}  // namespace hostos

// Checks what can change a boot besides the slots: every file on the ESP, the EFI variables that
// the loader and systemd read, and the command line of this boot. Each is compared with what the
// releases kept on this machine signed. Whatever none of them signed is listed, with what it can
// do.
#pragma once

#include <string>
#include <vector>

#include "updater/engine/world.h"

namespace hostos {

struct Unsigned {
  std::string what;  // "loader/addons/site.addon.efi", "EFI variable SystemdOptions"
  std::string can;   // what it does or may do, and what was found
};

struct BootProof {
  std::vector<Unsigned> unsigned_items;  // an operator's addon is one too: not a fault in itself
  std::string problem;  // "" unless the command line does not begin with the boot image's
};

// `running_proven`: the running slot is proven to be as signed, and with it its copy of the boot
// loader, which the one on the ESP is compared with.
Result<BootProof> VerifyBoot(World& world, bool running_proven);

}  // namespace hostos

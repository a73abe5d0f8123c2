// Reboots the machine and names the present boot. A seam: in tests a fake takes its place.
#pragma once

#include "updater/base/result.h"

namespace hostos {

class Power {
 public:
  virtual ~Power() = default;
  // Asks the service manager for a reboot and returns.
  virtual Result<> Reboot() = 0;
  // This boot's /proc/sys/kernel/random/boot_id.
  virtual Result<std::string> BootId() = 0;
};

}  // namespace hostos

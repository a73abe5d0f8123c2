// The reboot of the machine this runs on, through its service manager.
#pragma once

#include <string>

#include "updater/engine/power.h"

namespace hostos {

class SystemPower : public Power {
 public:
  explicit SystemPower(std::string systemctl = "/usr/bin/systemctl",
                       std::string boot_id = "/proc/sys/kernel/random/boot_id")
      : systemctl_(std::move(systemctl)), boot_id_(std::move(boot_id)) {}

  // `systemctl reboot`, through firmware and loader in any case: returns when the reboot is queued.
  // Its output goes to standard error. From then on this process ends by itself, and not by SIGINT,
  // SIGTERM or SIGHUP. When it is refused, whoever inhibits it is named.
  Result<> Reboot() override;
  Result<std::string> BootId() override;

 private:
  std::string systemctl_;
  std::string boot_id_;
};

}  // namespace hostos

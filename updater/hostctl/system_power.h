// Reboots this machine through its service manager.
#pragma once

#include <string>

#include "updater/engine/power.h"

namespace hostos {

class SystemPower : public Power {
 public:
  explicit SystemPower(std::string systemctl = "/usr/bin/systemctl",
                       std::string boot_id = "/proc/sys/kernel/random/boot_id")
      : systemctl_(std::move(systemctl)), boot_id_(std::move(boot_id)) {}

  // `systemctl reboot`, always through firmware and loader. Returns when the reboot is queued. Its
  // output goes to standard error. From then on SIGINT, SIGTERM and SIGHUP no longer end this
  // process. When the reboot is refused, the error names whoever inhibits it.
  Result<> Reboot() override;
  Result<std::string> BootId() override;

 private:
  std::string systemctl_;
  std::string boot_id_;
};

}  // namespace hostos

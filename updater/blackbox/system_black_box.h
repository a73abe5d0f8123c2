// What the machine itself remembers of boots that went wrong: systemd's journal, the kernel's last
// words as systemd-pstore(8) saved them, and the watchdog's status. The only user of sd-journal.
#pragma once

#include <string>

#include "updater/engine/black_box.h"

namespace hostos {

class SystemBlackBox : public BlackBox {
 public:
  struct Options {
    std::string journal = "/var/log/journal";
    std::string pstore = "/var/lib/systemd/pstore";
    std::string watchdogs =
        "/sys/class/watchdog";  // Documentation/ABI/testing/sysfs-class-watchdog
  };
  SystemBlackBox() = default;
  explicit SystemBlackBox(Options options) : options_(std::move(options)) {}

  std::vector<BootTrace> Boots(const Digest& root_hash, uint64_t since) override;
  std::string KernelDump(uint64_t since) override;
  bool WatchdogFired() override;

 private:
  Options options_;
};

}  // namespace hostos

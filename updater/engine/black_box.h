// What outlives a boot that went wrong, on this machine: its journal, what the kernel left when it
// died, what the watchdog says. What cannot be read is not known. A seam: the real one is in
// updater/blackbox.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "updater/base/digest.h"

namespace hostos {

// One boot, as the journal remembers it.
struct BootTrace {
  std::string boot_id;  // 32 hexadecimal digits, as journalctl --list-boots shows it
  uint64_t begun = 0;   // first and last line, seconds since the epoch
  uint64_t ended = 0;
  bool in_order = false;  // it was shut down; else it was cut off
  std::string log;        // its last lines
};

class BlackBox {
 public:
  virtual ~BlackBox() = default;
  // The boots of the root with this hash that ended at `since` or later, oldest first. A boot that
  // did not get as far as the state partition left nothing.
  virtual std::vector<BootTrace> Boots(const Digest& root_hash, uint64_t since) = 0;
  // The last lines of the kernel that died at `since` or later; "" when none left any.
  virtual std::string KernelDump(uint64_t since) = 0;
  // A hardware watchdog ended the boot before this one.
  virtual bool WatchdogFired() = 0;
};

}  // namespace hostos

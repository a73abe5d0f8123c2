// What is left on this machine of a boot that went wrong: its journal, the last kernel messages,
// and whether the watchdog fired. What cannot be read counts as not known. A seam: the real one is
// in updater/blackbox.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "updater/base/digest.h"

namespace hostos {

// One boot, from the journal.
struct BootTrace {
  std::string boot_id;  // 32 hexadecimal digits, as journalctl --list-boots shows it
  uint64_t begun = 0;   // first and last line, seconds since the epoch
  uint64_t ended = 0;
  bool in_order = false;  // true: an orderly shutdown; false: cut off
  std::string log;        // its last lines
};

class BlackBox {
 public:
  virtual ~BlackBox() = default;
  // The boots of the root with this hash that ended at `since` or later, oldest first. A boot that
  // did not reach the state partition left nothing.
  virtual std::vector<BootTrace> Boots(const Digest& root_hash, uint64_t since) = 0;
  // The last lines of the kernel that died at `since` or later; "" when there are none.
  virtual std::string KernelDump(uint64_t since) = 0;
  // True if a hardware watchdog ended the previous boot.
  virtual bool WatchdogFired() = 0;
};

}  // namespace hostos

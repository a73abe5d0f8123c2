// A black box that reports what a test puts into it.
#pragma once

#include "updater/engine/black_box.h"

namespace hostos {

class FakeBlackBox : public BlackBox {
 public:
  std::vector<BootTrace> traces;
  std::string kernel;
  bool watchdog = false;

  std::vector<BootTrace> Boots(const Digest&, uint64_t) override { return traces; }
  std::string KernelDump(uint64_t) override { return kernel; }
  bool WatchdogFired() override { return watchdog; }
};

}  // namespace hostos

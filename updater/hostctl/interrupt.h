// Handles SIGINT, SIGTERM and SIGHUP during a verb that may be interrupted anywhere. The process
// ends at once, as every step is safe to cut off; it leaves the terminal's line clean, and its last
// words say where it stopped.
#pragma once

#include <string_view>

#include "updater/hostctl/progress.h"

namespace hostos {

// From now on these signals print "hostctl: <words>" on standard error and exit with code 1. Words
// beyond a few hundred bytes are cut.
void SayWhenInterrupted(std::string_view words, bool terminal);

// PhaseProgress that keeps these words up to date: "interrupted in fetch; <hint>".
class InterruptibleProgress : public PhaseProgress {
 public:
  InterruptibleProgress(std::ostream& out, Clock& clock, Style style, size_t columns,
                        std::string_view hint);

  void Begin(std::string_view phase, std::string_view detail) override;

 private:
  std::string_view hint_;
  bool terminal_;
};

}  // namespace hostos

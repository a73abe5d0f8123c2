// SIGINT, SIGTERM and SIGHUP during a verb that may be interrupted anywhere: the process ends at
// once (every step is safe to cut off), but the terminal's line is left clean and the last words
// say where it stopped.
#pragma once

#include <string_view>

#include "updater/hostctl/progress.h"

namespace hostos {

// From now on those signals print "hostctl: <words>" on standard error and exit with code 1. Words
// longer than a few hundred bytes are cut.
void SayWhenInterrupted(std::string_view words, bool terminal);

// PhaseProgress that keeps those words up to date: "interrupted in fetch; <hint>".
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

// Shows an update's progress on standard error. On a terminal: one line per phase, redrawn in
// place. Elsewhere (a log, a pipe): one line when a phase begins, one when it ends, and in between
// at most one every ten seconds.
#pragma once

#include <ostream>
#include <string>

#include "updater/base/clock.h"
#include "updater/base/progress.h"

namespace hostos {

class PhaseProgress : public Progress {
 public:
  enum class Style { kQuiet, kLog, kTerminal };

  // `columns`: the terminal's width.
  PhaseProgress(std::ostream& out, Clock& clock, Style style, size_t columns = 80)
      : out_(out), clock_(clock), style_(style), columns_(columns) {}
  PhaseProgress(const PhaseProgress&) = delete;
  PhaseProgress& operator=(const PhaseProgress&) = delete;
  ~PhaseProgress() override { Finish(false); }

  // Also ends the phase before it, as a success. The same phase again only replaces `detail`.
  void Begin(std::string_view phase, std::string_view detail) override;
  void Bytes(uint64_t done, uint64_t total) override;

  // Ends the open phase, if there is one.
  void Finish(bool succeeded);

  void Changing() override { changing_ = true; }
  bool changing() const { return changing_; }

 private:
  std::string Bar() const;
  std::string RateAndTime() const;
  std::string Summary() const;
  void Redraw();

  std::ostream& out_;
  Clock& clock_;
  Style style_;
  size_t columns_;

  std::string phase_, detail_;
  bool open_ = false, changing_ = false;
  uint64_t done_ = 0, total_ = 0;
  uint64_t first_done_ = 0;  // bytes of an earlier run, left out of the rate
  bool moved_ = false;       // this phase called Bytes()
  Milliseconds begun_{0}, first_{0}, shown_{0};
};

}  // namespace hostos

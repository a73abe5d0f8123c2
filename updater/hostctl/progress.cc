#include "updater/hostctl/progress.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <utility>

#include "updater/hostctl/format.h"

namespace hostos {
namespace {

constexpr Milliseconds kRedraw{100};
constexpr Milliseconds kLogInterval{10'000};
constexpr size_t kBarCells = 20;
constexpr size_t kBarColumns = 78;  // in fewer columns a bar does not fit beside the numbers
constexpr std::string_view kClearLine = "\r\033[K";

}  // namespace

void PhaseProgress::Begin(std::string_view phase, std::string_view detail) {
  if (!open_ || phase != phase_) {
    Finish(true);
    open_ = true;
    moved_ = false;
    done_ = total_ = 0;
    begun_ = shown_ = clock_.Monotonic();
    phase_ = phase;
  }
  detail_ = detail;
  if (style_ == Style::kTerminal) Redraw();
  if (style_ == Style::kLog) out_ << std::format("{}: {}\n", phase_, detail_) << std::flush;
}

void PhaseProgress::Bytes(uint64_t done, uint64_t total) {
  if (!open_ || style_ == Style::kQuiet) return;
  const Milliseconds now = clock_.Monotonic();
  if (!moved_) {
    moved_ = true;
    first_ = now;
    first_done_ = done;
  }
  done_ = done;
  total_ = total;
  if (now - shown_ < (style_ == Style::kTerminal ? kRedraw : kLogInterval)) return;
  shown_ = now;
  if (style_ == Style::kTerminal) {
    Redraw();
  } else {
    std::string how_far = total_ ? FormatSizeOf(done_, total_) : FormatSize(done_);
    out_ << std::format("{}: {}{}\n", phase_, how_far, RateAndTime()) << std::flush;
  }
}

void PhaseProgress::Finish(bool succeeded) {
  if (!std::exchange(open_, false) || style_ == Style::kQuiet) return;
  if (style_ == Style::kTerminal)
    out_ << kClearLine
         << std::format(
                "{:<9} {}{}\n", phase_, detail_,
                succeeded ? (moved_ ? ", " + Summary() : "") : "; stopped after " + Summary());
  else
    out_ << std::format("{}: {}{}\n", phase_, succeeded ? "done, " : "stopped after ", Summary());
  out_ << std::flush;
}

// "41.2 MB in 1.1 s", or the time alone for a phase that moves no bytes.
std::string PhaseProgress::Summary() const {
  const Milliseconds took = clock_.Monotonic() - begun_;
  std::string time = std::format("{:.1f} s", static_cast<double>(took.count()) / 1e3);
  return moved_ ? std::format("{} in {}", FormatSize(done_), time) : time;
}

// "  38.0 MB/s  0:01 left", as far as this is known.
std::string PhaseProgress::RateAndTime() const {
  const auto elapsed = (clock_.Monotonic() - first_).count();
  const uint64_t moved = done_ - std::min(done_, first_done_);
  if (elapsed < 500 || moved == 0) return "";
  const double rate = static_cast<double>(moved) * 1e3 / static_cast<double>(elapsed);
  std::string text = std::format("  {}/s", FormatSize(static_cast<uint64_t>(rate)));
  if (total_ > done_) {
    Seconds left(std::llround(static_cast<double>(total_ - done_) / rate));
    text += std::format("  {} left", FormatMinutes(left));
  }
  return text;
}

// "[####------]  " if there is room for it.
std::string PhaseProgress::Bar() const {
  if (total_ == 0 || columns_ < kBarColumns) return "";
  const size_t full = std::min<uint64_t>(kBarCells, done_ * kBarCells / total_);
  return std::format("[{}{}]  ", std::string(full, '#'), std::string(kBarCells - full, '-'));
}

void PhaseProgress::Redraw() {
  std::string line = std::format("{:<9} ", phase_);
  if (!moved_) {
    line += detail_ + " ...";
  } else {
    line += Bar() + (total_ ? FormatSizeOf(done_, total_) : FormatSize(done_)) + RateAndTime();
  }
  // A line that wraps could not be redrawn in place.
  if (columns_ > 0 && line.size() >= columns_) line.resize(columns_ - 1);
  out_ << kClearLine << line << std::flush;
}

}  // namespace hostos

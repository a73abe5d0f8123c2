// A time limit that the steps of a check share: how much is left, and how long it was, for the
// message that it passed. Uses the monotonic clock, because booting nodes set their wall clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <format>
#include <string>

#include "updater/base/clock.h"

namespace hostos {

class Deadline {
 public:
  explicit Deadline(Milliseconds limit)
      : limit_(limit), end_(std::chrono::steady_clock::now() + limit) {}

  Milliseconds limit() const { return limit_; }
  // Rounded up, so that a wait never ends too early; zero once the limit has passed.
  Milliseconds left() const {
    return std::max(Milliseconds(0),
                    std::chrono::ceil<Milliseconds>(end_ - std::chrono::steady_clock::now()));
  }

 private:
  Milliseconds limit_;
  std::chrono::steady_clock::time_point end_;
};

// "30 s", "0.25 s"
inline std::string FormatSeconds(Milliseconds time) {
  return std::format("{:.6g} s", std::chrono::duration<double>(time).count());
}

}  // namespace hostos

// A clock that advances only when somebody sleeps.
#pragma once

#include "updater/base/clock.h"

namespace hostos {

class FakeClock : public Clock {
 public:
  uint64_t Now() override { return static_cast<uint64_t>(now_.count()) / 1000; }
  Milliseconds Monotonic() override { return now_; }
  void Sleep(Milliseconds time) override { now_ += time; }

  void Set(Seconds now) { now_ = now; }

 private:
  Milliseconds now_ = Seconds(1'763'686'800);
};

}  // namespace hostos

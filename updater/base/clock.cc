#include "updater/base/clock.h"

#include <time.h>

#include <format>
#include <thread>

namespace hostos {

uint64_t SystemClock::Now() {
  return static_cast<uint64_t>(::time(nullptr));
}

Milliseconds SystemClock::Monotonic() {
  timespec now;
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::duration_cast<Milliseconds>(Seconds(now.tv_sec) +
                                                  std::chrono::nanoseconds(now.tv_nsec));
}

void SystemClock::Sleep(Milliseconds time) {
  std::this_thread::sleep_for(time);
}

static std::chrono::sys_seconds TimePoint(uint64_t seconds) {
  return std::chrono::sys_seconds(Seconds(seconds));
}

std::string FormatTime(uint64_t seconds) {
  return std::format("{:%Y-%m-%d %H:%M} UTC", TimePoint(seconds));
}

std::string FormatTimeIso(uint64_t seconds) {
  return std::format("{:%Y-%m-%dT%H:%M:%S}Z", TimePoint(seconds));
}

}  // namespace hostos

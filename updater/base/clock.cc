#include "updater/base/clock.h"

#include <time.h>

#include <algorithm>
#include <format>
#include <sstream>
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
  return std::chrono::sys_seconds(Seconds(std::min(seconds, kLastTime)));
}

std::string FormatTime(uint64_t seconds) {
  return std::format("{:%Y-%m-%d %H:%M} UTC", TimePoint(seconds));
}

std::string FormatTimeIso(uint64_t seconds) {
  return std::format("{:%Y-%m-%dT%H:%M:%S}Z", TimePoint(seconds));
}

std::optional<uint64_t> ParseTimeIso(const std::string& text) {
  std::chrono::sys_seconds time;
  std::istringstream in(text);
  in >> std::chrono::parse("%Y-%m-%dT%H:%M:%SZ", time);
  if (!in || std::format("{:%Y-%m-%dT%H:%M:%S}Z", time) != text) return std::nullopt;
  return static_cast<uint64_t>(std::max<int64_t>(time.time_since_epoch().count(), 0));
}

}  // namespace hostos

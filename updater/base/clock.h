// Time as a seam: wall time for records, monotonic time for deadlines.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace hostos {

using Seconds = std::chrono::seconds;
using Milliseconds = std::chrono::milliseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t Now() = 0;            // seconds since the epoch, UTC
  virtual Milliseconds Monotonic() = 0;  // CLOCK_BOOTTIME: goes on while suspended
  virtual void Sleep(Milliseconds time) = 0;
};

// The machine's clocks.
class SystemClock : public Clock {
 public:
  uint64_t Now() override;
  Milliseconds Monotonic() override;
  void Sleep(Milliseconds time) override;
};

// The end of the year 9999: the last time that both formats can say. A later one is written as
// this.
inline constexpr uint64_t kLastTime = 253'402'300'799;

// "2026-11-21 01:02 UTC", and RFC 3339 "2026-11-21T01:02:03Z" for records and JSON.
std::string FormatTime(uint64_t seconds);
std::string FormatTimeIso(uint64_t seconds);
// What FormatTimeIso() writes, and nothing else but times before the epoch, which are 0.
std::optional<uint64_t> ParseTimeIso(const std::string& text);

}  // namespace hostos

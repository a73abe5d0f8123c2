// A seam for time: wall time for records, monotonic time for deadlines.
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
  virtual Milliseconds Monotonic() = 0;  // CLOCK_BOOTTIME: also runs while suspended
  virtual void Sleep(Milliseconds time) = 0;
};

// The machine's clocks.
class SystemClock : public Clock {
 public:
  uint64_t Now() override;
  Milliseconds Monotonic() override;
  void Sleep(Milliseconds time) override;
};

// The end of the year 9999, the last time both formats can express. A later time is written as this
// one.
inline constexpr uint64_t kLastTime = 253'402'300'799;

// "2026-11-21 01:02 UTC", and RFC 3339 "2026-11-21T01:02:03Z" for records and JSON.
std::string FormatTime(uint64_t seconds);
std::string FormatTimeIso(uint64_t seconds);
// Parses only what FormatTimeIso() writes. Times before the epoch count as 0.
std::optional<uint64_t> ParseTimeIso(const std::string& text);

}  // namespace hostos

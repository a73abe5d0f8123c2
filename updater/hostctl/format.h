// Numbers, times and colors for people: sizes in powers of ten, ages instead of dates where the age
// matters, short digests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "updater/base/clock.h"
#include "updater/base/traffic.h"

namespace hostos {

// "41.2 MB", "3.1 GB", "12.3 kB", "512 bytes".
std::string FormatSize(uint64_t bytes);
// "21.4 of 41.2 MB": both in the unit of the whole.
std::string FormatSizeOf(uint64_t part, uint64_t whole);
// "1,303".
std::string FormatCount(uint64_t number);
// "41.2 MB in 9 requests, 40.1 MB of it in a delta pack"; "nothing" when nothing was asked for.
std::string FormatTraffic(const Traffic& traffic);
// "1 boot", "3 boots".
std::string Plural(uint64_t number, std::string_view noun);
// "2 min ago"; a time in the future (a clock was wrong) as a date.
std::string FormatAge(uint64_t then, uint64_t now);
// "0:04", "12:31".
std::string FormatMinutes(Seconds time);
// "60 s", "5 min".
std::string FormatSpan(Seconds time);

// `text` with every line indented by `indent` spaces, and a newline at the end.
std::string Indented(std::string_view text, size_t indent);

// Colors by meaning; plain text when it is off.
class Paint {
 public:
  explicit Paint(bool on = false) : on_(on) {}
  std::string Good(std::string_view text) const { return With("32", text); }
  std::string Warn(std::string_view text) const { return With("33", text); }
  std::string Bad(std::string_view text) const { return With("31", text); }
  std::string Strong(std::string_view text) const { return With("1", text); }

 private:
  std::string With(std::string_view code, std::string_view text) const;
  bool on_;
};

}  // namespace hostos

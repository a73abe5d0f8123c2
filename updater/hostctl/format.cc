#include "updater/hostctl/format.h"

#include <algorithm>
#include <format>

namespace hostos {
namespace {

struct Unit {
  double size;
  std::string_view name;
};

Unit UnitOf(uint64_t bytes) {
  if (bytes >= 999'950'000) return {1e9, "GB"};
  if (bytes >= 99'950) return {1e6, "MB"};
  return {1e3, "kB"};
}

}  // namespace

std::string FormatSize(uint64_t bytes) {
  if (bytes < 1000) return Plural(bytes, "byte");
  Unit unit = UnitOf(bytes);
  return std::format("{:.1f} {}", static_cast<double>(bytes) / unit.size, unit.name);
}

std::string FormatSizeOf(uint64_t part, uint64_t whole) {
  Unit unit = UnitOf(whole);
  return std::format("{:.1f} of {:.1f} {}", static_cast<double>(part) / unit.size,
                     static_cast<double>(whole) / unit.size, unit.name);
}

std::string FormatCount(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string Plural(uint64_t number, std::string_view noun) {
  return std::format("{} {}{}", FormatCount(number), noun, number == 1 ? "" : "s");
}

std::string FormatTraffic(const Traffic& traffic) {
  if (traffic.requests == 0) return "nothing";
  std::string text =
      std::format("{} in {}", FormatSize(traffic.bytes), Plural(traffic.requests, "request"));
  if (traffic.pack_bytes > 0)
    text += std::format(", {} of it in a delta pack", FormatSize(traffic.pack_bytes));
  return text;
}

std::string FormatAge(uint64_t then, uint64_t now) {
  if (then > now) return "on " + FormatTime(then);
  const uint64_t age = now - then;
  if (age < 60) return "just now";
  if (age < 2 * 3600) return std::format("{} min ago", age / 60);
  if (age < 2 * 86400) return std::format("{} h ago", age / 3600);
  return std::format("{} days ago", age / 86400);
}

std::string FormatMinutes(Seconds time) {
  return std::format("{}:{:02}", time.count() / 60, time.count() % 60);
}

std::string FormatSpan(Seconds time) {
  const auto count = time.count();
  return count >= 120 && count % 60 == 0 ? std::format("{} min", count / 60)
                                         : std::format("{} s", count);
}

std::string Indented(std::string_view text, size_t indent) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::string out;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    out += std::string(indent, ' ') + std::string(text.substr(at, end - at)) + "\n";
    at = end + 1;
  }
  return out;
}

std::string Paint::With(std::string_view code, std::string_view text) const {
  return on_ ? std::format("\033[{}m{}\033[0m", code, text) : std::string(text);
}

}  // namespace hostos

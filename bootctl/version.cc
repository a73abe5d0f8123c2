// UAPI.10 "Version Format Specification". Where it leaves room, this follows systemd-boot 257:
// characters outside [0-9a-zA-Z~^.-] only separate segments.
#include <algorithm>

#include "bootctl/boot_control.h"

namespace hostos {
namespace {

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
bool IsAlpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsVersionChar(char c) {
  return IsDigit(c) || IsAlpha(c) || c == '~' || c == '-' || c == '^' || c == '.';
}

template <class Predicate>
std::string_view TakeWhile(std::string_view& text, Predicate predicate) {
  auto end = std::find_if_not(text.begin(), text.end(), predicate);
  std::string_view taken(text.begin(), end);
  text = std::string_view(end, text.end());
  return taken;
}

// If only one string continues with `mark`, that one is older. If both do, the mark is removed from
// both.
std::strong_ordering CompareMark(std::string_view& a, std::string_view& b, char mark) {
  const bool in_a = a.starts_with(mark), in_b = b.starts_with(mark);
  if (in_a && in_b) {
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return in_b <=> in_a;
}

std::strong_ordering CompareNumbers(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.size() <=> b.size();  // a number is newer than none
  TakeWhile(a, [](char c) { return c == '0'; });
  TakeWhile(b, [](char c) { return c == '0'; });
  if (a.size() != b.size()) return a.size() <=> b.size();
  return a <=> b;
}

}  // namespace

std::strong_ordering CompareVersions(std::string_view a, std::string_view b) {
  for (;;) {
    TakeWhile(a, [](char c) { return !IsVersionChar(c); });
    TakeWhile(b, [](char c) { return !IsVersionChar(c); });
    // Before the check for the end: a pre-release is older even than the end of the string.
    if (auto order = CompareMark(a, b, '~'); order != 0) return order;
    if (a.empty() || b.empty()) return b.empty() <=> a.empty();
    for (char mark : {'-', '^', '.'})
      if (auto order = CompareMark(a, b, mark); order != 0) return order;
    const bool numeric = (!a.empty() && IsDigit(a[0])) || (!b.empty() && IsDigit(b[0]));
    const std::string_view segment_a = TakeWhile(a, numeric ? IsDigit : IsAlpha);
    const std::string_view segment_b = TakeWhile(b, numeric ? IsDigit : IsAlpha);
    auto order = numeric ? CompareNumbers(segment_a, segment_b) : segment_a <=> segment_b;
    if (order != 0) return order;
  }
}

}  // namespace hostos

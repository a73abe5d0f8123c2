#include "updater/release/debian_version.h"

#include <algorithm>
#include <compare>
#include <initializer_list>
#include <string>

namespace hostos {
namespace {

constexpr size_t kMaxText = 256;
constexpr std::string_view kDigits = "0123456789", kLower = "abcdefghijklmnopqrstuvwxyz",
                           kUpper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

bool IsMadeOf(std::string_view text, std::initializer_list<std::string_view> sets) {
  return !text.empty() && text.size() <= kMaxText && std::ranges::all_of(text, [&](char c) {
    return std::ranges::any_of(sets, [&](std::string_view set) { return set.contains(c); });
  });
}

// '~' is before the end, letters come after it, and everything else after those.
int Order(std::string_view text) {
  if (text.empty() || kDigits.contains(text[0])) return 0;
  if (text[0] == '~') return -1;
  const int c = static_cast<unsigned char>(text[0]);
  return kLower.contains(text[0]) || kUpper.contains(text[0]) ? c : c + 256;
}

// Digits at its beginning, without zeros that mean nothing.
std::string_view TakeNumber(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
  const std::string_view number = text.substr(0, text.find_first_not_of(kDigits));
  text.remove_prefix(number.size());
  return number;
}

// Text and numbers by turns.
int ComparePart(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    while ((!a.empty() && !kDigits.contains(a[0])) || (!b.empty() && !kDigits.contains(b[0]))) {
      if (const int order = Order(a) - Order(b); order != 0) return order;
      a.remove_prefix(std::min<size_t>(a.size(), 1));
      b.remove_prefix(std::min<size_t>(b.size(), 1));
    }
    const std::string_view left = TakeNumber(a), right = TakeNumber(b);
    if (left.size() != right.size()) return left.size() < right.size() ? -1 : 1;
    if (const int order = left.compare(right); order != 0) return order;
  }
  return 0;
}

struct VersionParts {
  std::string_view epoch, upstream, revision;

  explicit VersionParts(std::string_view version) {
    const size_t colon = version.find(':');
    if (colon != version.npos) {
      epoch = version.substr(0, colon);
      version.remove_prefix(colon + 1);
    }
    const size_t dash = version.rfind('-');
    upstream = version.substr(0, dash);
    if (dash != version.npos) revision = version.substr(dash + 1);
  }
};

}  // namespace

int CompareDebianVersions(std::string_view a, std::string_view b) {
  const VersionParts left(a), right(b);
  if (const int order = ComparePart(left.epoch, right.epoch); order != 0) return order;
  if (const int order = ComparePart(left.upstream, right.upstream); order != 0) return order;
  return ComparePart(left.revision, right.revision);
}

bool IsDebianVersion(std::string_view text) {
  return IsMadeOf(text, {kLower, kUpper, kDigits, "+-.:~"});
}

bool IsDebianName(std::string_view text) {
  return IsMadeOf(text, {kLower, kDigits, "+-."}) && !std::string_view("+-.").contains(text[0]);
}

}  // namespace hostos

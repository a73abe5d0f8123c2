#include "images/sbom/changelog.h"

#include <algorithm>
#include <array>

#include "images/sbom/paragraphs.h"
#include "updater/base/text.h"
#include "updater/release/changes.h"
#include "updater/release/debian_version.h"

namespace hostos {
namespace {

// "NAME (VERSION) DISTRIBUTION...; urgency=WORD, ...".
bool ParseHeading(std::string_view line, ChangelogEntry& entry) {
  const size_t open = line.find(" ("), close = line.find(") "), semicolon = line.find(';');
  if (open == line.npos || close == line.npos || semicolon == line.npos || open > close ||
      close > semicolon)
    return false;
  entry.name = line.substr(0, open);
  entry.version = line.substr(open + 2, close - open - 2);
  const std::string fields = Lower(line.substr(semicolon));
  constexpr std::string_view kUrgency = "urgency=";
  const size_t urgency = fields.find(kUrgency);
  if (urgency == fields.npos) return false;
  entry.urgency = fields.substr(urgency + kUrgency.size());
  entry.urgency.resize(std::min(entry.urgency.find_first_not_of("abcdefghijklmnopqrstuvwxyz"),
                                entry.urgency.size()));
  return IsDebianName(entry.name) && IsDebianVersion(entry.version) && !entry.urgency.empty() &&
         entry.urgency.size() <= 16;
}

// "2026-09-29" of " -- NAME <MAIL>  Tue, 29 Sep 2026 22:10:28 +0200"; "" for anything else.
std::string DateOf(std::string_view trailer) {
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const size_t mail = trailer.rfind('>'), comma = trailer.find(',', std::min(mail, trailer.size()));
  if (mail == trailer.npos || comma == trailer.npos) return {};
  std::vector<std::string_view> words;
  for (std::string_view rest = Trim(trailer.substr(comma + 1)); !rest.empty();) {
    words.push_back(rest.substr(0, rest.find(' ')));
    rest = Trim(rest.substr(words.back().size()));
  }
  if (words.size() != 5) return {};
  const auto month = std::ranges::find(kMonths, words[1]);
  for (const std::string_view number : {words[0], words[2]})
    if (number.find_first_not_of("0123456789") != number.npos) return {};
  if (month == kMonths.end() || words[0].size() > 2 || words[2].size() != 4) return {};
  return std::format("{}-{:02}-{:0>2}", words[2], month - kMonths.begin() + 1, words[0]);
}

void AddCves(std::string_view line, std::vector<std::string>& cves) {
  constexpr std::string_view kMark = "CVE-";
  for (size_t at = line.find(kMark); at != line.npos; at = line.find(kMark, at + 1)) {
    const size_t end = line.find_first_not_of("0123456789-", at + kMark.size());
    std::string_view cve = line.substr(at, end == line.npos ? end : end - at);
    cve = cve.substr(0, cve.find('-', kMark.size() + 5));  // "CVE-2026-1234-related"
    if (IsCve(cve)) cves.emplace_back(cve);
  }
}

}  // namespace

Result<std::vector<ChangelogEntry>> ParseChangelog(std::string_view text, std::string_view since) {
  std::vector<ChangelogEntry> entries;
  bool inside = false;
  size_t number = 0;
  while (!text.empty()) {
    number++;
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    const auto odd = [&](std::string_view expected) {
      return Fail(Code::kFailed, "line {}: expected {}, found '{}'", number, expected,
                  line.substr(0, 80));
    };
    // debhelper says in a comment that it removed older entries.
    if (Trim(line).empty() || line.starts_with('#')) continue;
    if (!inside) {
      if (!ParseHeading(line, entries.emplace_back()))
        return odd("PACKAGE (VERSION) DISTRIBUTION; urgency=...");
      inside = true;
      continue;
    }
    ChangelogEntry& entry = entries.back();
    if (line.starts_with("  ")) {
      AddCves(line, entry.cves);
      continue;
    }
    if (!line.starts_with(" -- "))
      return odd("two spaces before a change, or ' -- NAME <MAIL>  DATE' after the last");
    entry.date = DateOf(line);
    if (entry.date.empty()) return odd(" -- NAME <MAIL>  Tue, 29 Sep 2026 22:10:28 +0200");
    std::ranges::sort(entry.cves, CveBefore);
    const auto twice = std::ranges::unique(entry.cves);
    entry.cves.erase(twice.begin(), twice.end());
    inside = false;
    if (entry.date >= since) continue;
    if (entries.size() > 1) entries.pop_back();
    return entries;
  }
  if (inside)
    return Fail(Code::kFailed,
                "expected ' -- NAME <MAIL>  DATE' after the last change, found the end");
  if (entries.empty()) return Fail(Code::kFailed, "expected a changelog, found nothing");
  return entries;
}

}  // namespace hostos

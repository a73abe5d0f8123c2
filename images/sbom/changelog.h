// Debian's changelogs (deb-changelog(5), Debian Policy 4.4): which version fixed what.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

inline constexpr size_t kMaxChangelog = 64 << 20;  // that of the kernel has 4.3 MB

struct ChangelogEntry {
  std::string name, version;
  std::string urgency;            // "medium"; of the first word, in small letters
  std::string date;               // "2026-09-29", in the time zone of who made it
  std::vector<std::string> cves;  // that it names, sorted by CveBefore, each once
};

// Its entries from the newest on, as far as they are from `since` ("2023-12-01") on, but at least
// the newest. kFailed names the line that is not as it should be; what comes after the first older
// entry is not read.
Result<std::vector<ChangelogEntry>> ParseChangelog(std::string_view text, std::string_view since);

}  // namespace hostos

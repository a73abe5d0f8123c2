// What Debian's security tracker knows: its export of all issues as JSON
// (https://security-tracker.debian.org/tracker/data/json), which has 70 MB and more. It is read as
// a stream.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

inline constexpr uint64_t kMaxTrackerBytes = 1 << 30;

// An issue of a source package in one suite.
struct TrackerIssue {
  std::string source, id;     // "CVE-2026-1234", or "TEMP-..." while there is none
  std::string status;         // "open", "resolved" or "undetermined"
  std::string fixed_version;  // of the suite; "0": it never had it
  std::string urgency;        // "high", "medium", "low", "unimportant", "not yet assigned", ...
  std::string nodsa;          // why there will be no advisory, if so
};

// The issues of these sources, by source and id. kNotFound when there is no file; kFailed when it
// is cut off, is no export of the tracker, or knows no such suite.
Result<std::vector<TrackerIssue>> ReadTracker(const std::string& path, const std::string& suite,
                                              const std::set<std::string, std::less<>>& sources);

}  // namespace hostos

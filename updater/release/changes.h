// What changes in the Debian packages of a release, and which CVEs they fixed, version by version,
// as their changelogs say. A file of the release's root, which is also beside it, named in its
// signed target: so that a node can say what an update fixes before it fetches anything of it.
// docs/changes.md has the format.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "updater/base/release.h"
#include "updater/base/result.h"

namespace hostos {

inline constexpr size_t kMaxChangesBytes = 1 << 20;
inline constexpr const char* kChangesFormat = "changes";  // among the files of the target (sboms)

// A version of a source package that fixed something.
struct SourceFix {
  std::string version, date, urgency;  // "2026-09-29", "high"
  std::vector<std::string> cves;       // sorted by CveBefore
};

struct SourceChanges {
  std::string name, version;  // of the source package that is in the release
  // The oldest version that its changelog tells of in the time that the file covers; "" when the
  // publisher had no changelog of it.
  std::string reaches;
  std::vector<SourceFix> fixes;  // newest first
};

struct ReleaseChanges {
  std::string version;                 // of the release
  std::string since;                   // "2023-12-01": what is older is left out
  std::vector<SourceChanges> sources;  // by name, each once
};

// kNotTrusted names the field, what was expected and what was found.
Result<ReleaseChanges> ParseChanges(std::string_view bytes);
std::string WriteChanges(const ReleaseChanges& changes);

// "CVE-2026-1234".
bool IsCve(std::string_view text);
// By year and number.
bool CveBefore(const std::string& a, const std::string& b);

// What another version of a source package makes of its CVEs.
struct CveChange {
  std::string source, from, to;
  std::string urgency;            // the highest of the versions between
  std::vector<std::string> cves;  // newest first
};

struct CveChanges {
  std::vector<CveChange> fixed;  // the most urgent first, then those with most CVEs
  std::vector<CveChange> back;   // of sources that become older
  // Sources of which the files do not tell all of the versions between: there may be more.
  std::vector<std::string> incomplete;

  // How many, each counted once.
  static size_t Count(const std::vector<CveChange>& changes);
};

CveChanges CompareChanges(const ReleaseChanges& from, const ReleaseChanges& to);

struct PackageChange {
  std::string name, from, to;  // "" when added or removed
};

// Those that differ, by name.
std::vector<PackageChange> ComparePackages(const Release& from, const Release& to);

}  // namespace hostos

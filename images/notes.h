// The notes of a release: one page of HTML that needs nothing else, for people who decide whether
// to install it.
#pragma once

#include <optional>
#include <string>

#include "images/open_issues.h"
#include "images/release_diff.h"
#include "images/sbom/sbom.h"
#include "updater/base/result.h"

namespace hostos {

struct ReleaseNotes {
  Release release;
  Identity identity;
  std::vector<DebianPackage> packages;
  std::optional<ReleaseDiff> changes;  // since another release
  std::optional<OpenIssues> open;      // by the tracker's data of that day
};

// What the commit says of itself.
Result<ReleaseNotes> DescribeRelease(const Repo& repo, const Commit& commit);

std::string NotesPage(const ReleaseNotes& notes);

}  // namespace hostos

// Which issues of Debian's security tracker a committed release has.
#pragma once

#include <string>
#include <vector>

#include "images/sbom/sbom.h"
#include "images/sbom/tracker.h"
#include "updater/base/result.h"
#include "updater/release/commit.h"
#include "updater/source/repo.h"

namespace hostos {

// What a committed release says of itself, and its packages.
Result<Identity> IdentityOf(const Repo& repo, const Commit& commit);
Result<std::vector<DebianPackage>> PackagesOf(const Repo& repo, const Commit& commit);

struct OpenIssue : TrackerIssue {
  std::string version;  // of the source package in the release
  // Of that source, by their places among the packages; `parts`: of which only parts of the source
  // are in (Built-Using).
  std::vector<size_t> packages, parts;
  bool undetermined() const { return status == "undetermined"; }
};

struct OpenIssues {
  Identity identity;
  std::vector<DebianPackage> packages;
  std::vector<OpenIssue> issues;  // by source, version and id
};

// `tracker` is the tracker's export as a file, `suite` such as "trixie"; "": the release's own.
// Leaves out what is fixed in the versions of the release.
Result<OpenIssues> FindOpenIssues(const Repo& repo, const Commit& commit,
                                  const std::string& tracker, const std::string& suite);

// The same as an OpenVEX 0.2 document. The same issues and time give the same bytes.
std::string OpenVex(const OpenIssues& open, uint64_t timestamp);

}  // namespace hostos

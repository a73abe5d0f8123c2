// Which CVEs the source packages of a root fixed, from the changelogs that rootfs/build kept of
// them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "images/sbom/dpkg.h"
#include "updater/base/result.h"
#include "updater/release/changes.h"

namespace hostos {

// The source packages that a root was built from, by their names in advisories, each with the
// package that says so. Of one that is there in two versions, the older: what that lacks is not
// fixed.
std::map<std::string, DebianPackage> DescribedSources(const std::vector<DebianPackage>& packages);

// `directory` has a file for each source package, called like it; of one that has none nothing is
// known. kNotFound when there is no such directory, kFailed for a changelog that is damaged, or
// that knows nothing of the version in the root. Nothing before `since` is in it.
Result<std::vector<SourceChanges>> DescribeChanges(const std::vector<DebianPackage>& packages,
                                                   const std::string& directory,
                                                   const std::string& since);

}  // namespace hostos

// What a new version of TUF metadata would change, for the people who sign it. Whatever is in what
// they sign is one of its facts, so that nothing of it goes unseen.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/source/release_target.h"
#include "updater/tuf/json.h"

namespace hostos {

// Of one role: names that are fit for a terminal, and values as they are in JSON.
using Facts = std::map<std::string, tuf::Json>;

// The release that a path of the targets is about, from its file; nothing when that does not
// matter.
using ReadRelease = std::function<Result<std::optional<ReleaseTarget>>(const std::string& path,
                                                                       const tuf::Json& target)>;

// All that `body` says ("signed") but its role and version, and which bytes it follows.
Result<Facts> FactsOf(tuf::Json body, const ReadRelease& read);

struct Change {
  std::string what;
  std::optional<tuf::Json> before, after;  // absent: it was not there, or is there no more
};
std::vector<Change> Compare(const Facts& before, const Facts& after);

// A line: "+ newest hostos/x86-64/stable: commit 5f…, index 4, version 1.4.0".
std::string TextOf(const Change& change);

}  // namespace hostos

// Shows the people who sign what a new version of TUF metadata would change. Everything they sign
// is one of its facts, so nothing in it goes unseen.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/release/release_target.h"
#include "updater/tuf/json.h"

namespace hostos {

// The facts of one role: names that are safe on a terminal, values as in the JSON.
using Facts = std::map<std::string, tuf::Json>;

// Reads the release that a targets path is about from its file; absent when the caller can do
// without.
using ReadRelease = std::function<Result<std::optional<ReleaseTarget>>(const std::string& path,
                                                                       const tuf::Json& target)>;

// Everything that `body` ("signed") says, except its type, its version and which bytes it follows.
Result<Facts> FactsOf(tuf::Json body, const ReadRelease& read);

struct Change {
  std::string what;
  std::optional<tuf::Json> before, after;  // absent: it did not exist, or no longer does
};
std::vector<Change> Compare(const Facts& before, const Facts& after);

// One line: "+ newest hostos/x86-64/stable: commit 5f…, index 4, version 1.4.0".
std::string TextOf(const Change& change);

}  // namespace hostos

// Publishes the files of a repository's "metadata/".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

// The numbers N of the files N.<role>.json, ascending. A mirror lacks some that its publisher has.
Result<std::vector<int64_t>> VersionsOf(const std::string& repo, const std::string& role);

// "metadata/N.root.json", the oldest there: whoever trusts it can follow all the others. kNotFound
// when there is none.
Result<std::string> OldestRoot(const std::string& repo);

// `files` is by name: "3.targets.json". Nodes see all of them at once through timestamp.json, which
// is written last. If there are new roots too, a folder with everything is prepared and then
// exchanged with the public one (renameat2(2), RENAME_EXCHANGE). After an interruption nodes see
// the old or the new. kRefused when a file other than timestamp.json already exists with other
// bytes: what nodes may have seen must not change.
Result<> PublishMetadata(const std::string& repo, const std::map<std::string, std::string>& files);

}  // namespace hostos

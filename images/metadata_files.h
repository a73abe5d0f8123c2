// The files of a repository's "metadata/" become public.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

// The numbers N of its files N.<role>.json, from the least. A mirror has not all of a publisher's.
Result<std::vector<int64_t>> VersionsOf(const std::string& repo, const std::string& role);

// "metadata/N.root.json", the oldest one there is: who has it follows all the others. kNotFound.
Result<std::string> OldestRoot(const std::string& repo);

// By name: "3.targets.json". Nodes see all of them at once, with timestamp.json, which comes last;
// when there are new roots as well, the folder changes places with one that has all of it
// (renameat2(2), RENAME_EXCHANGE). An interruption leaves nodes with the old or the new. kRefused
// when one of them but timestamp.json is there with other bytes: what nodes have seen stays.
Result<> PublishMetadata(const std::string& repo, const std::map<std::string, std::string>& files);

}  // namespace hostos

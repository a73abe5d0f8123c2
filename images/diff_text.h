// The differences between two releases, for people and for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "images/release_diff.h"

namespace hostos {

// Long lists are cut, with the number of the rest, unless `all`.
std::string DiffText(const ReleaseDiff& diff, bool all);
nlohmann::ordered_json DiffJson(const ReleaseDiff& diff);

// "12.3 kB", "41.2 MB", "7 B".
std::string FileSize(uint64_t bytes);

}  // namespace hostos

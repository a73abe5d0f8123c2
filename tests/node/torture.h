// How much of a harness runs: some of it in `dev test`, all of it in `dev torture`.
#pragma once

#include <cstdlib>
#include <string_view>

namespace hostos {

inline bool Thorough() {
  const char* depth = std::getenv("HOSTOS_TORTURE");
  return depth && std::string_view(depth) == "all";
}

}  // namespace hostos

// How much of a harness runs: a part in `dev test`, all of it in `dev torture`.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <format>
#include <string_view>

namespace hostos {

inline bool Thorough() {
  const char* depth = std::getenv("HOSTOS_TORTURE");
  return depth && std::string_view(depth) == "all";
}

// Adds a line to the table of `dev torture`: "360 states".
inline void Count(size_t number, std::string_view what) {
  if (Thorough()) (void)std::puts(std::format("torture: {} {}", number, what).c_str());
}

}  // namespace hostos

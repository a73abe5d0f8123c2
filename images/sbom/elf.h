// What a program asks the loader for: the names of its shared libraries.
#pragma once

#include <string>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

struct ElfNeeds {
  std::string folder;  // of the architecture's libraries: "x86_64-linux-gnu"
  // Those it is linked with, and those its notes say that it opens by name (UAPI group, "ELF
  // dlopen metadata").
  std::vector<std::string> libraries;
};

// Empty for a file that is no program of 64 bits for an architecture of HostOS, such as a script.
// kFailed for one that is damaged.
Result<ElfNeeds> ReadElfNeeds(int file);

}  // namespace hostos

// The verbs of hostimage: from the parsed command line to the work and its result on stdout.
#pragma once

#include <span>

#include "images/arguments.h"

namespace hostos {

// The command table: keygen, commit, rescue, verify, disk.
std::span<const Subcommand> Subcommands();

}  // namespace hostos

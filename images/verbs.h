// The verbs of hostimage: from the parsed command line to the work and its result on stdout.
#pragma once

#include <span>

#include "images/arguments.h"

namespace hostos {

// All of them: the command table.
std::span<const Subcommand> Subcommands();

// Those that decide what nodes find: root, sign, publish, promote, withdraw, renew, releases,
// bundle.
std::span<const Subcommand> TrustVerbs();

}  // namespace hostos

// What is generated from the command table for people and shells: --help, the manual.
#pragma once

#include <string>

#include "updater/hostctl/command.h"
#include "updater/hostctl/manual.h"

namespace hostos {

// `hostctl --help`, and `hostctl VERB --help` or `hostctl help VERB`.
std::string HelpText();
std::string HelpText(const Command& command);

// `hostctl help`: --help, and what else hostctl(8) has, also where there is no man(1).
std::string ManualText();

// "usage: hostctl update [--check] ...", wrapped.
std::string UsageLine(const Command& command);

// hostctl(8), and the completion.
Manual HostctlManual();

}  // namespace hostos

// Text generated from the command table for people and shells: --help and the manual.
#pragma once

#include <string>

#include "updater/hostctl/command.h"
#include "updater/hostctl/manual.h"

namespace hostos {

// `hostctl --help`, and `hostctl VERB --help` or `hostctl help VERB`.
std::string HelpText();
std::string HelpText(const Command& command);

// `hostctl help`: --help plus the rest of hostctl(8), for systems without man(1) too.
std::string ManualText();

// "usage: hostctl update [--check] ...", wrapped.
std::string UsageLine(const Command& command);

// The data of hostctl(8) and of the completion.
Manual HostctlManual();

}  // namespace hostos

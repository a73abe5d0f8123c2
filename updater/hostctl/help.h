// What is generated from the command table for people and shells: --help, the man page, the bash
// completion.
#pragma once

#include <string>

#include "updater/hostctl/command.h"

namespace hostos {

// `hostctl --help`, and `hostctl VERB --help`.
std::string HelpText();
std::string HelpText(const Command& command);

// "usage: hostctl update [--check] ...", wrapped.
std::string UsageLine(const Command& command);

// hostctl(8) as mdoc(7).
std::string ManPage();

// For bash, with nothing of the bash-completion package: installed under its folder it is loaded on
// demand, sourced by itself it works alone.
std::string BashCompletion();

}  // namespace hostos

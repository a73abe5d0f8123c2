// Runs the programs that hostimage builds on: ukify, systemd-repart, qemu-img. Also ends early:
// after SIGINT, SIGTERM or SIGHUP the running program is stopped and every further step fails, so
// that the temporary files are removed on the way out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

// Makes the signals that ask the process to end only be remembered. Call it before the first
// thread.
void CatchInterrupts();

// An error once one of those signals has arrived. Check it between long steps.
Result<> CheckInterrupt();

// Runs `words` (found in PATH) to the end, with "NAME=VALUE" added to the environment and no input.
// Returns its output. If it fails, the error contains the end of its error output; kNoSpace if that
// says so. All of the error output goes to the file `log`, if one is given.
Result<std::string> RunProgram(const std::vector<std::string>& words,
                               const std::vector<std::string>& environment = {},
                               const std::string& log = "");

// The directory of this program, and the path of what comes with it: the place is the same when
// installed and in the build tree.
Result<std::string> OwnDirectory();
Result<std::string> OwnData(std::string_view name);

// The same for a program that reads what others wrote: kNotTrusted when it could not. That it was
// interrupted, or found no space, says nothing about them.
Result<std::string> RunOnUntrusted(const std::vector<std::string>& words);

}  // namespace hostos

// Running the programs that make what we do not: ukify, systemd-repart, qemu-img. And ending early:
// after SIGINT, SIGTERM or SIGHUP the running program is stopped and every step from then on fails,
// so that the temporary files are removed on the way out.
#pragma once

#include <string>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

// Remembers the signals that ask the process to end, in place of ending it. To be called before the
// first thread is made.
void CatchInterrupts();

// An error when one of those signals arrived: to be asked between long steps.
Result<> CheckInterrupt();

// Runs `words` (found in PATH) to its end with "NAME=VALUE" added to the environment, nothing on
// its input. Returns what it wrote to its output; what it wrote to its error output is part of the
// error when it fails: kNoSpace when it says so there.
Result<std::string> RunProgram(const std::vector<std::string>& words,
                               const std::vector<std::string>& environment = {});

}  // namespace hostos

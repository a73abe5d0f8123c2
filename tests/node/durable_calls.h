// A program, and every system call with which it can change files below one directory: seen one at
// a time across all its threads, before it happens, through seccomp's user notification
// (seccomp_unotify(2)). Any of them can be the program's last, fail,
// or find a signal waiting.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

struct DurableCall {
  std::string name;  // "renameat2"
  std::string path;  // of the file or name that it would change, below the directory
};

// Either an error or a signal.
struct Fault {
  size_t at = 0;   // which call, from 1
  int error = 0;   // errno that it fails with
  int signal = 0;  // that the program gets before the call; SIGKILL comes in its place
};

struct Observed {
  int ended = 0;  // exit code, or 128 + the signal
  std::vector<DurableCall> calls;
};

// Runs argv[0] with its output in `log`. kFailed when it is not over within the time limit.
Result<Observed> RunObserved(const std::vector<std::string>& argv, const std::string& log,
                             const std::string& directory, std::optional<Fault> fault);

}  // namespace hostos

// A program, with the processes that it starts, and every system call with which they can change
// files below one directory: seen one at a time across all their threads, before it happens,
// through seccomp's user notification (seccomp_unotify(2)). Any of them can be its process's last,
// fail, find a signal waiting, or be the one at which the power goes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/node/medium.h"

namespace hostos {

struct DurableCall {
  std::string program;  // whose it is
  std::string name;     // "renameat2"
  std::string path;     // of the file or name that it would change, below the directory
};

// One of an error, a signal, or a cut.
struct Fault {
  size_t at = 0;   // which call, from 1
  int error = 0;   // errno that it fails with
  int signal = 0;  // that the program gets; SIGKILL comes in the call's place, to its process
  std::optional<Cut> cut;  // of the power, of the file systems below the directory
};

struct Observed {
  int ended = 0;         // exit code, or 128 + the signal
  bool reached = false;  // the fault's call
  std::vector<DurableCall> calls;
};

// Runs argv[0] with its output in `log`, until it and what it started have ended. kFailed when they
// are silent for longer than the time limit. `volumes`: what of the directory is file systems that
// keep for certain only what was synced.
Result<Observed> RunObserved(const std::vector<std::string>& argv, const std::string& log,
                             const std::string& directory, std::optional<Fault> fault,
                             const std::vector<std::string>& volumes = {});

}  // namespace hostos

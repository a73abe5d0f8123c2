// Runs a program, with the processes it starts, and observes every system call that can change
// files below one directory: one at a time across all threads, before it happens, through seccomp's
// user notification (seccomp_unotify(2)). At any call the process can die, the call can fail, a
// signal can wait, or the power can go.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/node/medium.h"

namespace hostos {

struct DurableCall {
  std::string program;  // that makes the call
  std::string name;     // "renameat2"
  std::string path;     // of the file or name to change, below the directory
};

// Exactly one of an error, a signal or a power cut.
struct Fault {
  size_t at = 0;           // which call, counted from 1
  int error = 0;           // errno with which the call fails
  int signal = 0;          // for the program; SIGKILL replaces the call and kills its process
  std::optional<Cut> cut;  // of the power, for the file systems below the directory
};

struct Observed {
  int ended = 0;         // exit code, or 128 + the signal
  bool reached = false;  // the fault's call was reached
  std::vector<DurableCall> calls;
};

// Runs argv[0] with its output in `log` until it and all processes it started have ended. kFailed
// when they make no call for longer than the time limit. `volumes` names the parts of the directory
// that are file systems which surely keep only what was synced.
Result<Observed> RunObserved(const std::vector<std::string>& argv, const std::string& log,
                             const std::string& directory, std::optional<Fault> fault,
                             const std::vector<std::string>& volumes = {});

}  // namespace hostos

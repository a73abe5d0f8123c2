// Runs a program under a time limit, in a session of its own, in /, with nothing of this process
// but what is given here. When it ends, or its time does, its process group is killed.
#pragma once

#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/health/deadline.h"

namespace hostos {

inline constexpr int kProgramDescriptor = 3;

// The path by which the process that holds an O_PATH descriptor opens its file.
std::string PathOf(int fd);

struct Program {
  std::string file;                // what is started
  std::vector<std::string> words;  // its name, and its arguments
  std::vector<std::string> environment;
  int descriptor = -1;         // it has this one as kProgramDescriptor; -1: none
  bool errors = false;         // take standard error too; else it is this process's
  size_t output_limit = 4096;  // the last bytes of its output that are kept
  Milliseconds limit{0};
};

struct ProgramRun {
  int not_started = 0;  // the errno of its start
  std::string output;
  Result<int> exit_code;  // kUnhealthy if it did not start, or was killed
};

// Ends by the limit, plus about a second for a process that even SIGKILL does not end.
Result<ProgramRun> RunProgram(const Program& program);

}  // namespace hostos

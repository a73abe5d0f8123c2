// Shell commands, whose input is empty.
#pragma once

#include <stdio.h>
#include <sys/wait.h>

#include <stdexcept>
#include <string>

namespace hostos {

struct CommandResult {
  int status = -1;  // the exit code; -1: ended by a signal
  std::string output;
};

// Its standard output alone.
inline CommandResult ShellOutput(const std::string& command) {
  CommandResult result;
  FILE* pipe = ::popen(("exec </dev/null; " + command).c_str(), "re");
  if (!pipe) throw std::runtime_error("popen " + command);
  char buffer[4096];
  while (size_t size = ::fread(buffer, 1, sizeof buffer, pipe)) result.output.append(buffer, size);
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  return result;
}

// With its standard error.
inline CommandResult Shell(const std::string& command) {
  return ShellOutput("exec 2>&1; " + command);
}

// Its standard output; it must succeed.
inline std::string Run(const std::string& command) {
  const CommandResult ran = ShellOutput(command);
  if (ran.status != 0) throw std::runtime_error("failed: " + command + "\n" + ran.output);
  return ran.output;
}

}  // namespace hostos

// Runs a shell command with its standard output and error in one text.
#pragma once

#include <stdio.h>
#include <sys/wait.h>

#include <string>

namespace hostos {

struct Ran {
  int exit_code = -1;  // -1: ended by a signal
  std::string output;
};

inline Ran RunShell(const std::string& command) {
  Ran ran;
  FILE* pipe = ::popen(("exec 2>&1; " + command).c_str(), "re");
  if (!pipe) return ran;
  char buffer[4096];
  for (size_t n; (n = ::fread(buffer, 1, sizeof buffer, pipe)) > 0;) ran.output.append(buffer, n);
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) ran.exit_code = WEXITSTATUS(status);
  return ran;
}

}  // namespace hostos

// A child process with one owner. It is killed by its pid and reaped when the owner goes, and
// killed by the kernel if this process dies first: nothing a test starts outlives it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/base/unique_fd.h"

namespace hostos {

class Process {
 public:
  // Starts argv[0] (found in PATH) with its output in the file `log`, input from /dev/null, and the
  // descriptors `inherit` open under their own numbers.
  static Result<Process> Start(const std::vector<std::string>& argv, const std::string& log,
                               const std::vector<int>& inherit = {});
  // Starts and waits. Unless the exit code is 0: kFailed, with the end of the log.
  static Result<> Run(const std::vector<std::string>& argv, const std::string& log);

  Process() = default;
  Process(Process&& other) noexcept { *this = std::move(other); }
  Process& operator=(Process&& other) noexcept;
  ~Process() { Kill(); }

  pid_t pid() const { return pid_; }
  // Becomes readable when the process has ended.
  int pidfd() const { return pidfd_.get(); }
  // Waits for the end. Returns the exit code, or 128 + the signal.
  int Wait();
  void Kill();

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

// The last `lines` lines of a text file; "" when it does not exist.
std::string LastLines(const std::string& path, size_t lines);

}  // namespace hostos

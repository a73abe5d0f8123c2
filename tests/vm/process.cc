#include "tests/vm/process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace hostos {
namespace {

constexpr size_t kLogCap = 64 << 20;

// Runs between fork and exec: only async-signal-safe calls.
[[noreturn]] void Exec(char* const* argv, int log, pid_t parent, const std::vector<int>& inherit) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(126);  // the parent died before the line above
  int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, 0);
  ::dup2(log, 1);
  ::dup2(log, 2);
  for (int fd : inherit) ::fcntl(fd, F_SETFD, 0);
  ::execvp(argv[0], argv);
  ::_exit(127);
}

}  // namespace

Result<Process> Process::Start(const std::vector<std::string>& argv, const std::string& log,
                               const std::vector<int>& inherit) {
  UniqueFd output = TRY(Open(log, O_WRONLY | O_CREAT | O_APPEND, 0644));
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);

  pid_t parent = ::getpid();
  Process process;
  process.pid_ = ::fork();
  if (process.pid_ < 0) return FailErrno("fork");
  if (process.pid_ == 0) Exec(arguments.data(), output.get(), parent, inherit);
  process.pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid_, 0)));
  if (!process.pidfd_) return FailErrno("pidfd_open");
  return process;
}

Result<> Process::Run(const std::vector<std::string>& argv, const std::string& log) {
  Process process = TRY(Start(argv, log));
  if (int code = process.Wait(); code != 0)
    return Fail(Code::kFailed, "{} ended with exit code {}:\n{}", argv[0], code,
                LastLines(log, 10));
  return {};
}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  return *this;
}

int Process::Wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void Process::Kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  Wait();
}

std::string LastLines(const std::string& path, size_t lines) {
  Result<std::string> text = ReadFile(path, kLogCap);
  if (!text) return "";
  size_t at = text->size();
  if (at > 0 && text->back() == '\n') at--;
  for (; lines > 0 && at != std::string::npos && at > 0; lines--) at = text->rfind('\n', at - 1);
  return at == std::string::npos || at == 0 ? *text : text->substr(at + 1);
}

}  // namespace hostos

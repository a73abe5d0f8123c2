#include "updater/health/program.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <format>

#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr size_t kPiece = 16384;
constexpr int kPipePieces = 65536 / kPiece;  // a pipe's capacity, pipe(7)
constexpr Milliseconds kKillTime{1000};      // for SIGKILL to take effect

// The end of a program's output.
class Output {
 public:
  static Result<Output> Create(size_t limit) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) return FailErrno("pipe");
    Output output{UniqueFd(ends[0]), UniqueFd(ends[1]), limit};
    if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) return FailErrno("pipe");
    return output;
  }

  int read_end() const { return read_.get(); }
  int write_end() const { return write_.get(); }
  void CloseWriteEnd() { write_ = UniqueFd(); }

  // Takes one piece of the waiting output; false when none is waiting, or none will come.
  bool Take() {
    char buffer[kPiece];
    const ssize_t n = ::read(read_.get(), buffer, sizeof buffer);
    if (n <= 0) return n < 0 && errno == EINTR;
    text_.append(buffer, static_cast<size_t>(n));
    if (text_.size() > limit_) text_.erase(0, text_.size() - limit_);
    return true;
  }

  std::string text() && { return std::move(text_); }

 private:
  Output(UniqueFd read, UniqueFd write, size_t limit)
      : read_(std::move(read)), write_(std::move(write)), limit_(limit) {}

  UniqueFd read_, write_;
  size_t limit_;
  std::string text_;
};

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// 0, or the error number.
int Spawn(const Program& program, int output, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (::posix_spawn_file_actions_init(&actions) != 0) return ENOMEM;
  ::posix_spawnattr_init(&attributes);  // these fail only for lack of memory or bad arguments
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, 1);
  if (program.errors) ::posix_spawn_file_actions_adddup2(&actions, output, 2);
  const bool given = program.descriptor >= 0;
  if (given)  // without close-on-exec
    ::posix_spawn_file_actions_adddup2(&actions, program.descriptor, kProgramDescriptor);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, kProgramDescriptor + given);
  ::posix_spawn_file_actions_addchdir_np(&actions, "/");
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int error =
      ::posix_spawn(&pid, program.file.c_str(), &actions, &attributes,
                    Pointers(program.words).data(), Pointers(program.environment).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return error;
}

// Waits until the process ends or the time is over, and takes its output meanwhile. Once the output
// is closed, only the end of the process counts. A child that keeps the output open delays nothing.
bool WaitForEnd(int pidfd, Output& output, const Deadline& deadline) {
  bool open = true;
  for (;;) {
    pollfd polled[2] = {{pidfd, POLLIN, 0}, {open ? output.read_end() : -1, POLLIN, 0}};
    const int left = static_cast<int>(std::min<int64_t>(deadline.left().count(), INT32_MAX));
    const int n = ::poll(polled, 2, left);
    if (n < 0 && errno != EINTR) return false;
    if (polled[0].revents != 0) return true;
    if (n > 0 && polled[1].revents != 0) open = output.Take();
    if (deadline.left() == Milliseconds(0)) return false;
  }
}

Result<int> ExitCode(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return info.si_status;
  return Fail(Code::kUnhealthy, "killed by signal {} ({})", info.si_status,
              ::strsignal(info.si_status));
}

}  // namespace

std::string PathOf(int fd) {
  return std::format("/proc/self/fd/{}", fd);
}

Result<ProgramRun> RunProgram(const Program& program) {
  Output output = TRY(Output::Create(program.output_limit));
  const Deadline deadline(program.limit);
  pid_t pid = 0;
  if (const int error = Spawn(program, output.write_end(), pid))
    return ProgramRun{
        .not_started = error,
        .exit_code = Fail(Code::kUnhealthy, "{}", std::generic_category().message(error))};
  output.CloseWriteEnd();
  // A raw syscall, because glibc 2.41 declares pidfd_open() without C linkage.
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) {
    const int error = errno;
    (void)::kill(-pid, SIGKILL);  // as below
    return FailErrno("pidfd_open", error);
  }

  const bool in_time = WaitForEnd(pidfd.get(), output, deadline);
  // Kills whatever remains of its process group, in time or not. The process is not reaped yet, so
  // the number is still its own.
  (void)::kill(-pid, SIGKILL);  // fails only when no process is left
  const bool ended = in_time || WaitForEnd(pidfd.get(), output, Deadline(kKillTime));
  siginfo_t info = {};
  if (ended && ::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info, WEXITED) < 0)
    return FailErrno("waitid");
  // Takes only what the pipe holds now: a process that left the group may write on for ever.
  for (int pieces = 0; pieces < kPipePieces && output.Take(); pieces++) {
  }
  ProgramRun run{.output = std::move(output).text()};
  if (in_time)
    run.exit_code = ExitCode(info);
  else
    run.exit_code = Fail(Code::kUnhealthy, "did not end within {}{}", FormatSeconds(program.limit),
                         ended ? "; killed" : ", nor when killed");
  return run;
}

}  // namespace hostos

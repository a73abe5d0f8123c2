#include "images/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>

#include "updater/base/no_space.h"
#include "updater/base/text.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr int kInterrupts[] = {SIGINT, SIGTERM, SIGHUP};

volatile sig_atomic_t interrupted = 0;

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// This process's environment plus `added`, which replaces variables of the same name.
std::vector<std::string> Environment(const std::vector<std::string>& added) {
  std::vector<std::string> all = added;
  for (char** entry = environ; *entry; entry++) {
    const std::string_view variable = *entry;
    const std::string_view name = variable.substr(0, variable.find('=') + 1);
    bool replaced = false;
    for (const std::string& other : added) replaced |= other.starts_with(name);
    if (!replaced) all.emplace_back(variable);
  }
  return all;
}

// The current signal mask, but with the interrupts unblocked.
sigset_t OpenMask() {
  sigset_t mask;
  (void)::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  for (int signal : kInterrupts) (void)::sigdelset(&mask, signal);
  return mask;
}

Result<pid_t> Spawn(const std::vector<std::string>& words,
                    const std::vector<std::string>& environment, int output, int errors) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_adddup2(&actions, errors, 2);
  posix_spawnattr_t attributes;
  const sigset_t mask = OpenMask();
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &mask);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const std::vector<std::string> variables = Environment(environment);
  pid_t pid;
  const int error = posix_spawnp(&pid, words[0].c_str(), &actions, &attributes,
                                 Pointers(words).data(), Pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return FailErrno("cannot run " + words[0], error);
  return pid;
}

// Returns the wait status. Passes an interrupt on to the program, whose own end still decides. The
// signals are unblocked only while ppoll waits, so none can arrive unnoticed just before it.
Result<int> Wait(pid_t pid) {
  // A raw syscall, because glibc 2.41 declares pidfd_open() without C linkage.
  const UniqueFd end(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!end) return FailErrno("pidfd_open");
  const sigset_t mask = OpenMask();
  pollfd wait = {.fd = end.get(), .events = POLLIN, .revents = 0};
  while (::ppoll(&wait, 1, nullptr, &mask) < 0 && errno == EINTR)
    if (interrupted) (void)::kill(pid, SIGTERM);  // the program may have ended already
  int status = 0;
  if (::waitpid(pid, &status, 0) < 0) return FailErrno("waitpid");
  return status;
}

Result<std::string> Content(int fd, size_t from_end) {
  const off_t size = ::lseek(fd, 0, SEEK_END);
  const off_t start = std::max<off_t>(0, size - static_cast<off_t>(from_end));
  std::string text(static_cast<size_t>(size - start), '\0');
  TRY(PreadFull(fd, std::as_writable_bytes(std::span(text)), static_cast<uint64_t>(start)));
  return text;
}

}  // namespace

void CatchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = 1; };
  sigset_t blocked;
  sigemptyset(&blocked);
  for (int signal : kInterrupts) {
    (void)::sigaction(signal, &action, nullptr);
    sigaddset(&blocked, signal);
  }
  (void)::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
}

Result<> CheckInterrupt() {
  sigset_t pending;
  (void)::sigpending(&pending);
  const bool waiting = std::ranges::any_of(
      kInterrupts, [&](int signal) { return ::sigismember(&pending, signal) == 1; });
  if (interrupted || waiting) return Fail(Code::kFailed, "interrupted");
  return {};
}

Result<std::string> RunProgram(const std::vector<std::string>& words,
                               const std::vector<std::string>& environment,
                               const std::string& log) {
  TRY(CheckInterrupt());
  UniqueFd output(::memfd_create("output", MFD_CLOEXEC));
  UniqueFd errors = log.empty() ? UniqueFd(::memfd_create("errors", MFD_CLOEXEC))
                                : TRY(Open(log, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0644));
  if (!output || !errors) return FailErrno("memfd_create");
  const pid_t pid = TRY(Spawn(words, environment, output.get(), errors.get()));
  const int status = TRY(Wait(pid));
  TRY(CheckInterrupt());
  if (status == 0) return Content(output.get(), 1 << 20);
  const std::string how = WIFSIGNALED(status)
                              ? std::format("was killed by signal {}", WTERMSIG(status))
                              : std::format("ended with exit code {}", WEXITSTATUS(status));
  const std::string last = TRY(Content(errors.get(), 2000));
  return Fail(SaysNoSpace(last) ? Code::kNoSpace : Code::kFailed,
              "{} {}\nthe command: {}\nits last words{}:\n{}", words[0], how, Joined(words, " "),
              log.empty() ? "" : std::format(" (all of them: {})", log), last);
}

Result<std::string> OwnDirectory() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return FailErrno("/proc/self/exe", error.value());
  return program.parent_path().string();
}

Result<std::string> OwnData(std::string_view name) {
  const std::filesystem::path directory = TRY(OwnDirectory());
  return (directory / HOSTOS_DATA_DIR / name).lexically_normal().string();
}

Result<std::string> RunOnUntrusted(const std::vector<std::string>& words) {
  return RunProgram(words).transform_error([](Error error) {
    if (error.code == Code::kFailed && CheckInterrupt()) error.code = Code::kNotTrusted;
    return error;
  });
}

}  // namespace hostos

#include "images/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>

#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

volatile sig_atomic_t interrupted = 0;

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// The environment with `added`, which replace inherited ones of the same name.
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

Result<pid_t> Spawn(const std::vector<std::string>& words,
                    const std::vector<std::string>& environment, int output, int errors) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_adddup2(&actions, errors, 2);
  const std::vector<std::string> variables = Environment(environment);
  pid_t pid;
  const int error = posix_spawnp(&pid, words[0].c_str(), &actions, nullptr, Pointers(words).data(),
                                 Pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return FailErrno("cannot run " + words[0], error);
  return pid;
}

// The wait status. A caught signal is passed on once; the program's own end still decides.
int Wait(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR)
    if (interrupted) (void)::kill(pid, SIGTERM);  // it may have ended already
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
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) (void)::sigaction(signal, &action, nullptr);
}

Result<> CheckInterrupt() {
  if (interrupted) return Fail(Code::kFailed, "interrupted");
  return {};
}

Result<std::string> RunProgram(const std::vector<std::string>& words,
                               const std::vector<std::string>& environment) {
  TRY(CheckInterrupt());
  UniqueFd output(::memfd_create("output", MFD_CLOEXEC));
  UniqueFd errors(::memfd_create("errors", MFD_CLOEXEC));
  if (!output || !errors) return FailErrno("memfd_create");
  const pid_t pid = TRY(Spawn(words, environment, output.get(), errors.get()));
  const int status = Wait(pid);
  TRY(CheckInterrupt());
  if (status == 0) return Content(output.get(), 1 << 20);
  const std::string how = WIFSIGNALED(status)
                              ? std::format("was killed by signal {}", WTERMSIG(status))
                              : std::format("ended with exit code {}", WEXITSTATUS(status));
  return Fail(Code::kFailed, "{} {}\nthe command: {}\nits last words:\n{}", words[0], how,
              Joined(words), TRY(Content(errors.get(), 2000)));
}

}  // namespace hostos

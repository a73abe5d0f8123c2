#include "updater/hostctl/system_power.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "updater/base/unique_fd.h"

namespace hostos {

Result<> SystemPower::Reboot() {
  // What is asked for ends this session too: neither systemctl nor we are interrupted by that.
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) ::signal(signal, SIG_IGN);
  // Standard output holds results only.
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  std::string program = systemctl_, verb = "reboot";
  char* argv[] = {program.data(), verb.data(), nullptr};
  pid_t child = -1;
  const int error = ::posix_spawn(&child, program.c_str(), &actions, nullptr, argv, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return FailErrno(systemctl_, error);

  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return FailErrno(systemctl_);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return Fail(Code::kFailed, "{} reboot: expected success, it ended with {} {}", systemctl_,
              WIFEXITED(status) ? "exit code" : "signal",
              WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

Result<std::string> SystemPower::BootId() {
  std::string id = TRY(ReadFile(boot_id_, 4096));
  while (id.ends_with('\n')) id.pop_back();
  if (id.empty()) return Fail(Code::kFailed, "{}: expected a boot id, found nothing", boot_id_);
  return id;
}

}  // namespace hostos

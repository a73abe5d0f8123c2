#include "updater/hostctl/system_power.h"

#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <sstream>
#include <vector>

#include "updater/base/printable.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

// The reboot must go through the loader, because it counts the next boot. So systemctl may neither
// start what waits in /run/nextroot nor a kernel that is already loaded.
constexpr const char* kFullReboot[] = {"SYSTEMCTL_SKIP_AUTO_SOFT_REBOOT=1",
                                       "SYSTEMCTL_SKIP_AUTO_KEXEC=1"};

// Runs a program to its end, with its output going to `out`. Returns the status of waitpid(2).
Result<int> Run(std::vector<std::string> words, int out) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  std::vector<char*> argv, environment;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  for (char** variable = environ; *variable; variable++) environment.push_back(*variable);
  for (const char* variable : kFullReboot) environment.push_back(const_cast<char*>(variable));
  environment.push_back(nullptr);
  pid_t child = -1;
  const int error =
      ::posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return FailErrno(words[0], error);

  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return FailErrno(words[0]);
  return status;
}

// "; held back by: kubelet 0 root 512 kubelet shutdown:sleep draining block": those that block a
// shutdown indefinitely. "" when nobody does. systemd itself does not name them.
std::string HeldBackBy(const std::string& systemd_inhibit) {
  const UniqueFd listed(::memfd_create("inhibitors", MFD_CLOEXEC));
  if (!listed || !Run({systemd_inhibit, "--list", "--no-pager", "--no-legend"}, listed.get()))
    return "";
  std::istringstream list(
      ReadFile(std::format("/proc/self/fd/{}", listed.get()), 1 << 16).value_or(""));
  std::string text;
  for (std::string line; std::getline(list, line);) {
    line = OneLine(line);
    if (line.contains("shutdown") && (line.ends_with(" block") || line.ends_with(" block-weak")))
      text += (text.empty() ? "; held back by: " : "; ") + line;
  }
  return text;
}

}  // namespace

Result<> SystemPower::Reboot() {
  // The reboot ends this session too: that must interrupt neither systemctl nor this process.
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) ::signal(signal, SIG_IGN);
  // Standard output is for results only.
  const int status = TRY(Run({systemctl_, "reboot"}, STDERR_FILENO));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return Fail(Code::kFailed, "{} reboot: expected success, it ended with {} {}{}", systemctl_,
              WIFEXITED(status) ? "exit code" : "signal",
              WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
              HeldBackBy(systemctl_.substr(0, systemctl_.rfind('/') + 1) + "systemd-inhibit"));
}

Result<std::string> SystemPower::BootId() {
  std::string id = TRY(ReadFile(boot_id_, 4096));
  while (id.ends_with('\n')) id.pop_back();
  if (id.empty()) return Fail(Code::kFailed, "{}: expected a boot id, found nothing", boot_id_);
  return id;
}

}  // namespace hostos

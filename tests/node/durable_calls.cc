#include "tests/node/durable_calls.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <climits>
#include <cstddef>
#include <cstring>
#include <filesystem>

#include "updater/base/clock.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr Seconds kLimit(120);

// A call, and the argument that says what it changes: a descriptor, or a name.
struct Call {
  uint32_t number;
  const char* name;
  int fd;    // which argument is the descriptor, or the directory that the name is below; -1: none
  int path;  // which argument is the name; -1: none
};

constexpr Call kCalls[] = {
    {SYS_write, "write", 0, -1},
    {SYS_pwrite64, "pwrite64", 0, -1},
    {SYS_writev, "writev", 0, -1},
    {SYS_pwritev, "pwritev", 0, -1},
    {SYS_pwritev2, "pwritev2", 0, -1},
    {SYS_sendfile, "sendfile", 0, -1},
    {SYS_copy_file_range, "copy_file_range", 2, -1},
    {SYS_splice, "splice", 2, -1},
    {SYS_fallocate, "fallocate", 0, -1},
    {SYS_ftruncate, "ftruncate", 0, -1},
    {SYS_truncate, "truncate", -1, 0},
    {SYS_fsync, "fsync", 0, -1},
    {SYS_fdatasync, "fdatasync", 0, -1},
    {SYS_syncfs, "syncfs", 0, -1},
    {SYS_ioctl, "ioctl", 0, -1},
    {SYS_open, "open", -1, 0},
    {SYS_openat, "openat", 0, 1},
    {SYS_creat, "creat", -1, 0},
    {SYS_mkdir, "mkdir", -1, 0},
    {SYS_mkdirat, "mkdirat", 0, 1},
    {SYS_mknodat, "mknodat", 0, 1},
    {SYS_link, "link", -1, 1},
    {SYS_linkat, "linkat", 2, 3},
    {SYS_symlink, "symlink", -1, 1},
    {SYS_symlinkat, "symlinkat", 1, 2},
    {SYS_rename, "rename", -1, 1},
    {SYS_renameat, "renameat", 2, 3},
    {SYS_renameat2, "renameat2", 2, 3},
    {SYS_unlink, "unlink", -1, 0},
    {SYS_unlinkat, "unlinkat", 0, 1},
    {SYS_rmdir, "rmdir", -1, 0},
    {SYS_chmod, "chmod", -1, 0},
    {SYS_fchmod, "fchmod", 0, -1},
    {SYS_fchmodat, "fchmodat", 0, 1},
    {SYS_chown, "chown", -1, 0},
    {SYS_lchown, "lchown", -1, 0},
    {SYS_fchown, "fchown", 0, -1},
    {SYS_fchownat, "fchownat", 0, 1},
    {SYS_utimensat, "utimensat", 0, 1},
    {SYS_setxattr, "setxattr", -1, 0},
    {SYS_lsetxattr, "lsetxattr", -1, 0},
    {SYS_fsetxattr, "fsetxattr", 0, -1},
};

// Opening matters only if it may create a file or truncate one.
constexpr uint32_t kChangingOpen = O_CREAT | O_TRUNC;

// Notifies of kCalls, allows everything else.
std::vector<sock_filter> MakeFilter() {
  std::vector<sock_filter> filter = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  for (const Call& call : kCalls) {
    const int flags = call.number == SYS_openat ? 2 : call.number == SYS_open ? 1 : -1;
    if (flags < 0) {
      filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call.number, 0, 1));
      filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
      continue;
    }
    const uint32_t offset =
        static_cast<uint32_t>(offsetof(seccomp_data, args)) + 8 * static_cast<uint32_t>(flags);
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call.number, 0, 4));
    filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kChangingOpen, 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return filter;
}

// A message of one byte that carries one descriptor (unix(7), SCM_RIGHTS). sendmsg(2) is not in
// kCalls.
struct FdMessage {
  FdMessage() {
    header.msg_iov = &io;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
  }
  FdMessage(const FdMessage&) = delete;
  FdMessage& operator=(const FdMessage&) = delete;

  char byte = 0;
  iovec io{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
};

bool SendFd(int socket, int fd) {
  FdMessage message;
  cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(control), &fd, sizeof fd);
  return ::sendmsg(socket, &message.header, 0) == 1;
}

Result<UniqueFd> ReceiveFd(int socket) {
  FdMessage message;
  if (::recvmsg(socket, &message.header, MSG_CMSG_CLOEXEC) != 1) return FailErrno("recvmsg");
  const cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  if (!control) return Fail(Code::kFailed, "the program did not start");
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(control), sizeof fd);
  return UniqueFd(fd);
}

// Runs in the child, between fork and exec.
[[noreturn]] void Start(char* const* argv, int log, int socket,
                        const std::vector<sock_filter>& filter) {
  const sock_fprog program{static_cast<unsigned short>(filter.size()),
                           const_cast<sock_filter*>(filter.data())};
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setpgid(0, 0);  // what it starts is in its process group
  ::dup2(log, 1);
  ::dup2(log, 2);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) ::_exit(126);
  const long listener =
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  if (listener < 0 || !SendFd(socket, static_cast<int>(listener))) ::_exit(126);
  ::close(static_cast<int>(listener));
  ::execvp(argv[0], argv);
  ::_exit(127);
}

std::string ReadLink(const std::string& path) {
  std::error_code error;
  return std::filesystem::read_symlink(path, error).string();
}

// Reads a string from the memory of a stopped thread.
std::string ReadString(pid_t pid, uint64_t address) {
  std::string text;
  char buffer[256];
  while (text.size() < PATH_MAX) {
    // Stops at the end of the page, because the next page may not exist.
    const size_t most = std::min<size_t>(sizeof buffer, 4096 - (address + text.size()) % 4096);
    iovec local{buffer, most};
    iovec remote{reinterpret_cast<void*>(address + text.size()), most};
    const ssize_t read = ::process_vm_readv(pid, &local, 1, &remote, 1, 0);
    if (read <= 0) break;
    const size_t length = strnlen(buffer, static_cast<size_t>(read));
    text.append(buffer, length);
    if (length < static_cast<size_t>(read)) break;
  }
  return text;
}

// The path that a call changes.
std::string PathOf(const seccomp_notif& notice, const Call& call) {
  const auto pid = static_cast<pid_t>(notice.pid);
  const std::string proc = std::format("/proc/{}/", pid);
  std::string base;
  if (call.fd >= 0) {
    const int fd = static_cast<int>(notice.data.args[call.fd]);
    base = ReadLink(proc + (fd == AT_FDCWD ? "cwd" : "fd/" + std::to_string(fd)));
  }
  if (call.path < 0) return base;
  const std::string name = ReadString(pid, notice.data.args[call.path]);
  if (name.starts_with("/")) return name;
  if (call.fd < 0) base = ReadLink(proc + "cwd");
  return name.empty() ? base : base + "/" + name;
}

const Call* FindCall(int number) {
  for (const Call& call : kCalls)
    if (call.number == static_cast<uint32_t>(number)) return &call;
  return nullptr;
}

class Observer {
 public:
  Observer(pid_t child, UniqueFd listener, std::string directory, std::optional<Fault> fault,
           const std::vector<std::string>& volumes)
      : child_(child),
        listener_(std::move(listener)),
        directory_(std::move(directory)),
        fault_(fault) {
    if (fault_ && fault_->cut) medium_.emplace(directory_, volumes);
  }

  // Runs until all processes have ended.
  Result<Observed> Watch() {
    for (;;) {
      pollfd poll{listener_.get(), POLLIN, 0};
      if (::poll(&poll, 1, static_cast<int>(Milliseconds(kLimit).count())) == 0) {
        ::kill(-child_, SIGKILL);
        Reap();
        return Fail(Code::kFailed, "silent for {} s; the last call: {} {}", kLimit.count(),
                    observed_.calls.empty() ? "none" : observed_.calls.back().name,
                    observed_.calls.empty() ? "" : observed_.calls.back().path);
      }
      if (poll.revents & POLLIN) {
        TRY(Answer());
      } else if (poll.revents & (POLLHUP | POLLERR)) {
        break;  // no process that could call is left
      }
    }
    Reap();
    if (medium_ && observed_.reached) medium_->Lose(*fault_->cut);
    return std::move(observed_);
  }

 private:
  Result<> Answer() {
    seccomp_notif notice{};
    if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &notice) < 0)
      return errno == ENOENT || errno == EINTR ? Result<>() : FailErrno("seccomp: receive");
    const Call* call = FindCall(notice.data.nr);
    const std::string path = call ? PathOf(notice, *call) : "";
    seccomp_notif_resp answer{.id = notice.id, .val = 0, .error = 0, .flags = 0};
    bool now = false;
    if (path.starts_with(directory_)) {
      const auto pid = static_cast<pid_t>(notice.pid);
      const std::filesystem::path program = ReadLink(std::format("/proc/{}/exe", pid));
      observed_.calls.push_back({program.filename(), call->name, path.substr(directory_.size())});
      now = fault_ && observed_.calls.size() == fault_->at;
      if (medium_ && !observed_.reached && !now) Keep(notice, *call, path);
    }
    if (now) {
      observed_.reached = true;
      if (Strike(static_cast<pid_t>(notice.pid))) return {};
    }
    if (now && fault_->error)
      answer.error = -fault_->error;
    else
      answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer) < 0 && errno != ENOENT)
      return FailErrno("seccomp: send");
    return {};
  }

  // Applies the fault. True when nobody is left who waits for an answer.
  bool Strike(pid_t caller) {
    if (fault_->cut) ::kill(-child_, SIGKILL);
    if (fault_->signal) ::kill(fault_->signal == SIGKILL ? caller : child_, fault_->signal);
    return fault_->cut || fault_->signal == SIGKILL;
  }

  // Notes what is certain to be on the medium once this call has returned.
  void Keep(const seccomp_notif& notice, const Call& call, const std::string& path) {
    if (call.number == SYS_syncfs) return medium_->SyncVolume(path);
    if (call.number != SYS_fsync && call.number != SYS_fdatasync) return;
    const Result<UniqueFd> fd =
        Open(std::format("/proc/{}/fd/{}", notice.pid, notice.data.args[0]), O_RDONLY);
    if (fd) medium_->Sync(fd->get(), path);
  }

  void Reap() {
    int status = 0;
    while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) continue;
    observed_.ended = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    // What it started was reparented here when it ended.
    while (::waitpid(-child_, nullptr, 0) > 0 || errno == EINTR) continue;
  }

  const pid_t child_;
  const UniqueFd listener_;
  const std::string directory_;
  const std::optional<Fault> fault_;
  std::optional<Medium> medium_;
  Observed observed_;
};

}  // namespace

Result<Observed> RunObserved(const std::vector<std::string>& argv, const std::string& log,
                             const std::string& directory, std::optional<Fault> fault,
                             const std::vector<std::string>& volumes) {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) return FailErrno("prctl");
  const UniqueFd output = TRY(Open(log, O_WRONLY | O_CREAT | O_APPEND, 0644));
  const std::vector<sock_filter> filter = MakeFilter();
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
    return FailErrno("socketpair");
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return FailErrno("fork");
  if (child == 0) Start(arguments.data(), output.get(), theirs.get(), filter);
  theirs = UniqueFd();
  return Observer(child, TRY(ReceiveFd(ours.get())), directory + "/", fault, volumes).Watch();
}

}  // namespace hostos

#include "updater/health/operator_checks.h"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <format>
#include <memory>

#include "updater/base/printable.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr size_t kOutputLimit = 4096;
constexpr size_t kPiece = 16384;
constexpr int kPipePieces = 65536 / kPiece;  // a pipe's capacity, pipe(7)
constexpr Milliseconds kKillTime{1000};      // for SIGKILL to take effect
constexpr int kEnvironmentExit = 75;         // EX_TEMPFAIL, sysexits.h

// Fails unless only root can change what `fd` refers to.
Result<struct stat> RootsAlone(int fd, const std::string& path) {
  struct stat status;
  if (::fstat(fd, &status) < 0) return FailErrno(path);
  if (status.st_uid != 0)
    return Fail(Code::kUnhealthy, "{} is owned by user {}, expected root; not run", path,
                status.st_uid);
  // In a folder like /tmp others can add names, but cannot change root's. The mode of a link means
  // nothing.
  const bool link = S_ISLNK(status.st_mode);
  const bool only_adds = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
  if ((status.st_mode & 022) != 0 && !link && !only_adds)
    return Fail(Code::kUnhealthy, "{} can be written by others than root (mode {:04o}); not run",
                path, status.st_mode & 07777);
  return status;
}

// Opens `path` as O_PATH, component by component from "/". Only root can change any folder or link
// on the way, and the descriptor refers to exactly what was checked.
Result<UniqueFd> OpenTrusted(const std::string& path, mode_t type, const char* type_name) {
  constexpr int kMostLinks = 40;  // path_resolution(7)
  UniqueFd at = TRY(Open("/", O_PATH | O_DIRECTORY));
  struct stat status = TRY(RootsAlone(at.get(), "/"));
  std::string done, left = path;  // `done` is the path of `at`, "" for "/"
  for (int links = 0; !left.empty();) {
    const size_t end = left.find('/');
    const std::string name = left.substr(0, end);
    left.erase(0, end == left.npos ? end : end + 1);
    if (name.empty() || name == ".") continue;
    UniqueFd next = TRY_CONTEXT(path, OpenAt(at.get(), name, O_PATH | O_NOFOLLOW));
    const std::string next_path =
        name == ".." ? done.substr(0, done.rfind('/')) : done + "/" + name;
    status = TRY(RootsAlone(next.get(), next_path.empty() ? "/" : next_path));
    if (S_ISLNK(status.st_mode)) {
      char target[PATH_MAX];
      const ssize_t size = ::readlinkat(next.get(), "", target, sizeof target);
      if (size < 0) return FailErrno(next_path);
      if (++links > kMostLinks) return FailErrno(path, ELOOP);
      left = std::string(target, static_cast<size_t>(size)) + "/" + left;
      if (!left.starts_with('/')) continue;
      next = TRY(Open("/", O_PATH | O_DIRECTORY));
      done.clear();
    } else {
      done = next_path;
    }
    at = std::move(next);
  }
  if ((status.st_mode & S_IFMT) != type)
    return Fail(Code::kUnhealthy, "{} is not {}; not run", path, type_name);
  if ((status.st_mode & 022) != 0)  // like /tmp: allowed on the way, not as the target
    return Fail(Code::kUnhealthy, "{} can be written by others than root (mode {:04o}); not run",
                path, status.st_mode & 07777);
  if ((status.st_mode & 0100) == 0)
    return Fail(Code::kUnhealthy, "{} is not executable (mode {:04o}); not run", path,
                status.st_mode & 07777);
  return at;
}

// The path by which the process that holds an O_PATH descriptor opens its file.
std::string PathOf(int fd) {
  return std::format("/proc/self/fd/{}", fd);
}

// The names in a directory, sorted; empty when the directory does not exist.
Result<std::vector<std::string>> List(const std::string& directory) {
  std::vector<std::string> names;
  if (::access(directory.c_str(), F_OK) < 0 && errno == ENOENT) return names;
  const UniqueFd open = TRY(OpenTrusted(directory, S_IFDIR, "a directory"));
  const auto close = [](DIR* dir) { ::closedir(dir); };
  std::unique_ptr<DIR, decltype(close)> dir(::opendir(PathOf(open.get()).c_str()), close);
  if (!dir) return FailErrno(directory);
  errno = 0;
  while (const dirent* entry = ::readdir(dir.get()))
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  if (errno != 0) return FailErrno(directory);
  std::ranges::sort(names);
  return names;
}

// The end of a check's output.
class Output {
 public:
  static Result<Output> Create() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) return FailErrno("pipe");
    Output output{UniqueFd(ends[0]), UniqueFd(ends[1])};
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
    if (text_.size() > kOutputLimit) text_.erase(0, text_.size() - kOutputLimit);
    return true;
  }

  std::string text() const { return Printable(text_); }

 private:
  Output(UniqueFd read, UniqueFd write) : read_(std::move(read)), write_(std::move(write)) {}

  UniqueFd read_, write_;
  std::string text_;
};

// Explains why an existing file cannot be started for want of a file: its interpreter is missing.
Result<pid_t> NoInterpreter(int program, const std::string& path) {
  constexpr size_t kLine = 256;  // execve(2) reads no more of the line
  std::string head(kLine, '\0');
  const Result<UniqueFd> file = Open(PathOf(program), O_RDONLY);
  const ssize_t n = file ? ::read(file->get(), head.data(), head.size()) : -1;
  head.resize(n > 0 ? static_cast<size_t>(n) : 0);
  std::string line = head.substr(0, head.find('\n'));
  if (!line.starts_with("#!"))
    return Fail(Code::kUnhealthy, "{}: its program loader is not there", path);
  if (line.ends_with('\r'))
    return Fail(Code::kUnhealthy,
                "{}: its lines end in CRLF, so that its #! line names a program that is not there; "
                "save it with LF line ends",
                path);
  return Fail(Code::kUnhealthy, "{}: the program that its #! line names is not there: {}", path,
              OneLine(line.substr(2)));
}

// Starts the program behind `fd`, even if `path` names another file by now. A script's interpreter
// opens the script by descriptor too: that is why the check has it as descriptor 3.
Result<pid_t> Spawn(int fd, const std::string& path, const std::string& name, int output,
                    Milliseconds limit) {
  constexpr int kProgram = 3;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (::posix_spawn_file_actions_init(&actions) != 0) return FailErrno(path, ENOMEM);
  ::posix_spawnattr_init(&attributes);  // these fail only for lack of memory or bad arguments
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, 1);
  ::posix_spawn_file_actions_adddup2(&actions, output, 2);
  ::posix_spawn_file_actions_adddup2(&actions, fd, kProgram);  // without close-on-exec
  ::posix_spawn_file_actions_addclosefrom_np(&actions, kProgram + 1);
  ::posix_spawn_file_actions_addchdir_np(&actions, "/");
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::string variables[] = {
      "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
      "LANG=C.UTF-8",
      "HOSTCTL_CHECK=" + name,
      "HOSTCTL_CHECK_FILE=" + path,
      std::format("HOSTCTL_CHECK_TIMEOUT={}", std::chrono::ceil<Seconds>(limit).count()),
  };
  char* environment[std::size(variables) + 1] = {};
  std::ranges::transform(variables, environment, [](std::string& text) { return text.data(); });
  std::string called = path;
  char* arguments[] = {called.data(), nullptr};

  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, PathOf(kProgram).c_str(), &actions, &attributes, arguments, environment);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) return NoInterpreter(fd, path);
  if (error == ENOEXEC)
    return Fail(Code::kUnhealthy, "{} is neither a program nor a script with a #! line", path);
  if (error != 0) return FailErrno(path, error);
  return pid;
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

Result<> Judge(const siginfo_t& info, CheckResult& check) {
  if (info.si_code != CLD_EXITED)
    return Fail(Code::kUnhealthy, "killed by signal {} ({})", info.si_status,
                ::strsignal(info.si_status));
  check.environment = info.si_status == kEnvironmentExit;
  if (check.environment)
    return Fail(Code::kUnhealthy, "exit code {}: the cause is outside this machine",
                info.si_status);
  if (info.si_status != 0)
    return Fail(Code::kUnhealthy, "exit code {}, expected 0", info.si_status);
  return {};
}

// Runs the check; fills in its output, and whether it blames the environment.
Result<> Run(const std::string& path, Milliseconds limit, CheckResult& check) {
  const UniqueFd program = TRY(OpenTrusted(path, S_IFREG, "a regular file"));
  Output output = TRY(Output::Create());
  const Deadline deadline(limit);
  const pid_t pid = TRY(Spawn(program.get(), path, check.name, output.write_end(), limit));
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
  check.output = output.text();
  if (!in_time)
    return Fail(Code::kUnhealthy, "did not end within {}{}", FormatSeconds(limit),
                ended ? "; killed" : ", nor when killed");
  return Judge(info, check);
}

CheckResult RunOne(const std::string& directory, const std::string& name, bool required,
                   Milliseconds limit) {
  CheckResult check{.name = name, .required = required};
  const auto begin = std::chrono::steady_clock::now();
  const Result<> result = limit > Milliseconds(0)
                              ? Run(directory + "/" + name, limit, check)
                              : Fail(Code::kUnhealthy, "not tried: no time was left");
  check.ok = result.has_value();
  check.detail = result ? "exit code 0" : OneLine(result.error().message);
  check.took = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - begin);
  return check;
}

}  // namespace

std::vector<CheckResult> RunOperatorChecks(const std::string& directory, Milliseconds timeout,
                                           const Deadline& deadline) {
  std::vector<CheckResult> checks;
  for (const std::string group : {"required", "wanted"}) {
    const bool required = group == "required";
    const Result<std::vector<std::string>> names = List(directory + "/" + group);
    if (!names)
      checks.push_back({.name = group, .required = required, .detail = names.error().message});
    for (const std::string& name : names.value_or(std::vector<std::string>()))
      checks.push_back(
          RunOne(directory, group + "/" + name, required, std::min(timeout, deadline.left())));
  }
  return checks;
}

}  // namespace hostos

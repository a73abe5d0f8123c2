#include "updater/health/operator_checks.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include <algorithm>
#include <format>
#include <memory>

#include "updater/base/printable.h"
#include "updater/base/unique_fd.h"
#include "updater/health/program.h"

namespace hostos {
namespace {

constexpr int kEnvironmentExit = 75;  // EX_TEMPFAIL, sysexits.h

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

// Explains why an existing file cannot be started for want of a file: its interpreter is missing.
Result<> NoInterpreter(int program, const std::string& path) {
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

// Why the program behind `fd` did not start.
Result<> NotStarted(int error, int fd, const std::string& path) {
  if (error == ENOENT) return NoInterpreter(fd, path);
  if (error == ENOEXEC)
    return Fail(Code::kUnhealthy, "{} is neither a program nor a script with a #! line", path);
  return FailErrno(path, error);
}

// Runs the check; fills in its output, and whether it blames the environment. The program behind
// the descriptor is started, even if `path` names another file by now. A script's interpreter opens
// the script by descriptor too: that is why the check has it as descriptor 3.
Result<> Run(const std::string& path, Milliseconds limit, CheckResult& check) {
  const UniqueFd program = TRY(OpenTrusted(path, S_IFREG, "a regular file"));
  const int64_t seconds = std::chrono::ceil<Seconds>(limit).count();
  const ProgramRun run =
      TRY(RunProgram({.file = PathOf(kProgramDescriptor),
                      .words = {path},
                      .environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
                                      "HOSTCTL_CHECK=" + check.name, "HOSTCTL_CHECK_FILE=" + path,
                                      std::format("HOSTCTL_CHECK_TIMEOUT={}", seconds)},
                      .descriptor = program.get(),
                      .errors = true,
                      .limit = limit}));
  if (run.not_started != 0) return NotStarted(run.not_started, program.get(), path);
  check.output = Printable(run.output);
  const int code = TRY(run.exit_code);
  check.environment = code == kEnvironmentExit;
  if (check.environment)
    return Fail(Code::kUnhealthy, "exit code {}: the cause is outside this machine", code);
  if (code != 0) return Fail(Code::kUnhealthy, "exit code {}, expected 0", code);
  return {};
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

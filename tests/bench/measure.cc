#include "tests/bench/measure.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <fstream>
#include <sstream>

#include "tests/vm/process.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

using nlohmann::json;

double InSeconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// The number after "key:" in a file of /proc; 0 when it is not there.
uint64_t ProcNumber(const char* file, const std::string& key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key + ":")) return std::stoull(line.substr(key.size() + 1));
  return 0;
}

// Runs in the child: does the work, then measures what it cost.
json Account(const std::function<Result<json>()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  Result<json> said = work();
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
  if (!said) return {{"error", said.error().message}};

  double cpu = 0;
  rusage usage[2];
  ::getrusage(RUSAGE_SELF, &usage[0]);
  ::getrusage(RUSAGE_CHILDREN, &usage[1]);
  for (const rusage& each : usage) cpu += InSeconds(each.ru_utime) + InSeconds(each.ru_stime);
  const uint64_t own = ProcNumber("/proc/self/status", "VmHWM");
  return {{"said", *said},
          {"wall", wall.count()},
          {"cpu", cpu},
          {"peak_rss", std::max<uint64_t>(own, usage[1].ru_maxrss) << 10},
          {"written", ProcNumber("/proc/self/io", "write_bytes")}};
}

}  // namespace

Result<Cost> Measure(const std::function<Result<json>()>& work) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return FailErrno("pipe");
  UniqueFd from(ends[0]), to(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return FailErrno("fork");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const std::string text = Account(work).dump();
    ::_exit(WriteFull(to.get(), AsBytes(text)) ? 0 : 1);
  }
  to = UniqueFd();
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = ::read(from.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(n));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;

  const json account = json::parse(text, nullptr, false);
  if (status != 0 || !account.is_object())
    return Fail(Code::kFailed, "the measured process ended with status {}", status);
  if (account.contains("error"))
    return Fail(Code::kFailed, "{}", account["error"].get<std::string>());
  return Cost{account["wall"], account["cpu"], account["peak_rss"], account["written"],
              account["said"]};
}

Result<Cost> MeasureProgram(const std::vector<std::string>& argv, const std::string& log) {
  return Measure([&]() -> Result<json> {
    TRY(Process::Run(argv, log));
    return json();
  });
}

}  // namespace hostos

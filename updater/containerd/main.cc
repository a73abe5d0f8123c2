// check-containerd: all checks of containerd, for the hostctl at the other end of its standard
// output (updater/health/containerd_process.h).
#include <poll.h>
#include <unistd.h>

#include <iostream>
#include <thread>

#include "updater/base/unique_fd.h"
#include "updater/containerd/containerd.h"
#include "updater/health/containerd_process.h"
#include "updater/health/run_check.h"

namespace hostos {
namespace {

// Exits in the middle of anything. The next one removes what is left of the canary.
void EndWithReader() {
  pollfd reader{.fd = STDOUT_FILENO, .events = 0, .revents = 0};  // POLLERR always counts
  while (::poll(&reader, 1, -1) < 0) continue;
  ::_exit(1);
}

std::vector<CheckResult> CheckContainerd(const ContainerdQuestions& questions) {
  const Deadline deadline(questions.limit);
  Containerd containerd(questions.socket);
  std::vector<CheckResult> checks;
  const auto add = [&](const char* name, auto run) {
    const Milliseconds limit = std::min(questions.check_timeout, deadline.left());
    checks.push_back(RunCheck(name, limit, std::move(run)));
    return checks.back().ok;
  };
  const bool serving = add("containerd-serving", [&](const Deadline& end) {
    return containerd.Serving(end).transform([] { return std::string("SERVING"); });
  });
  // Asks only a containerd that serves: a question without an answer would cost its whole deadline.
  const auto serving_or = [&](auto ask) {
    return [&, ask](const Deadline& end) -> Result<std::string> {
      return serving ? ask(end) : NotTried("containerd is not serving");
    };
  };
  add("containerd-version",
      serving_or([&](const Deadline& end) { return containerd.Version(end); }));
  add("containerd-plugins", serving_or([&](const Deadline& end) {
        return containerd.HasPlugins(questions.plugins, end).transform([&] {
          return std::format("{} needed, all loaded", questions.plugins.size());
        });
      }));
  add("containerd-settings", serving_or([&](const Deadline& end) -> Result<std::string> {
        if (!questions.settings) return "not asked for";
        TRY(containerd.HasHostOsSettings(end));
        return "systemd's cgroups, CNI plugins in /opt/cni/bin";
      }));
  add("canary", serving_or([&](const Deadline& end) {
        return containerd.RunCanary(questions.canary, questions.runtime, end)
            .transform([](const std::string& stays) {
              return "created, started, ended with exit code 0, deleted" +
                     (stays.empty() ? "" : "; " + stays);
            });
      }));
  return checks;
}

Result<> Main(int count, char** words) {
  if (count != 2) return Fail(Code::kUsage, "expected to be started by hostctl");
  const ContainerdQuestions questions = TRY(QuestionsFromJson(words[1]));
  std::thread(EndWithReader).detach();
  return WriteFull(STDOUT_FILENO, AsBytes(ToJson(CheckContainerd(questions))));
}

}  // namespace
}  // namespace hostos

int main(int count, char** words) try {
  const hostos::Result<> end = hostos::Main(count, words);
  if (!end) std::cerr << "check-containerd: " << end.error().message << "\n";
  return end ? 0 : 1;
} catch (const std::exception& exception) {
  // HostOS itself does not throw: this is memory, or a library.
  std::cerr << "check-containerd: " << exception.what() << "\n";
  return 1;
}

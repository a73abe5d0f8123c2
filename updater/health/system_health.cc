#include "updater/health/system_health.h"

#include <fnmatch.h>

#include <algorithm>
#include <format>
#include <functional>

#include "updater/health/containerd.h"
#include "updater/health/operator_checks.h"
#include "updater/health/printable.h"

namespace hostos {
namespace {

constexpr char kContainerdUnit[] = "containerd.service";

Result<std::string> NotTried(std::string_view why) {
  return Fail(Code::kUnhealthy, "not tried: {}", why);
}

// One check with its share of the time left: what it found, or why it does not hold.
CheckResult Check(const std::string& name, Milliseconds limit,
                  const std::function<Result<std::string>(const Deadline&)>& run) {
  const auto begin = std::chrono::steady_clock::now();
  const Result<std::string> result =
      limit > Milliseconds(0) ? run(Deadline(limit)) : NotTried("no time was left");
  return {
      .name = name,
      .ok = result.has_value(),
      .detail = OneLine(result ? *result : result.error().message),
      .took = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - begin),
  };
}

}  // namespace

std::vector<CheckResult> SystemHealth::Round(Milliseconds limit) {
  const Deadline deadline(limit);
  std::vector<CheckResult> checks;
  CheckContainerd(deadline, checks);
  CheckSystemd(deadline, checks);
  std::ranges::move(RunOperatorChecks(policy_.checks, policy_.check_timeout, deadline),
                    std::back_inserter(checks));
  return checks;
}

void SystemHealth::CheckContainerd(const Deadline& deadline, std::vector<CheckResult>& checks) {
  Containerd containerd(policy_.containerd_socket);
  const auto add = [&](const char* name, Milliseconds left, auto run) {
    const Milliseconds limit = std::min<Milliseconds>(policy_.check_timeout, left);
    checks.push_back(Check(name, limit, std::move(run)));
    return checks.back().ok;
  };
  const bool serving = add("containerd-serving", deadline.left(), [&](const Deadline& end) {
    return containerd.Serving(end).transform([] { return std::string("SERVING"); });
  });
  // Whether a question makes sense: one that cannot be answered only costs its whole deadline.
  const auto serving_or = [&](auto ask) {
    return [&, ask](const Deadline& end) -> Result<std::string> {
      return serving ? ask(end) : NotTried("containerd is not serving");
    };
  };
  add("containerd-version", deadline.left(),
      serving_or([&](const Deadline& end) { return containerd.Version(end); }));
  add("containerd-plugins", deadline.left(), serving_or([&](const Deadline& end) {
        return containerd.HasPlugins(policy_.plugins, end).transform([&] {
          return std::format("{} needed, all loaded", policy_.plugins.size());
        });
      }));
  add("canary", deadline.left(), serving_or([&](const Deadline& end) {
        return containerd.RunCanary(policy_.canary, policy_.runtime, end).transform([] {
          return std::string("created, started, ended with exit code 0, deleted");
        });
      }));
}

void SystemHealth::CheckSystemd(const Deadline& deadline, std::vector<CheckResult>& checks) {
  // Both answers take a moment, so one connection and one deadline serve them both.
  const Milliseconds limit = std::min<Milliseconds>(policy_.check_timeout, deadline.left());
  Result<Systemd> systemd = Systemd::Connect(bus_address_, Deadline(limit));
  using Question = Result<std::string> (SystemHealth::*)(Systemd&);
  const auto add = [&](const char* name, Question ask) {
    checks.push_back(Check(name, limit, [&](const Deadline&) -> Result<std::string> {
      if (!systemd) return std::unexpected(systemd.error());
      return (this->*ask)(*systemd);
    }));
  };
  add("containerd-restarts", &SystemHealth::SameProcess);
  add("units", &SystemHealth::NoFailedUnits);
}

// containerd.service runs, in the same process as in the round before. What fails is forgotten, so
// that the next round begins anew with what it finds.
Result<std::string> SystemHealth::SameProcess(Systemd& systemd) {
  const std::optional<ServiceState> before = std::exchange(containerd_, std::nullopt);
  const ServiceState now = TRY(systemd.Service(kContainerdUnit));
  if (now.active_state != "active" || now.main_pid == 0)
    return Fail(Code::kUnhealthy, "{}: expected active, found {}", kContainerdUnit,
                now.active_state);
  if (before && *before != now)
    return Fail(Code::kUnhealthy, "{} restarted: main process {} became {}, restarts {} became {}",
                kContainerdUnit, before->main_pid, now.main_pid, before->restarts, now.restarts);
  containerd_ = now;
  return std::format("main process {}, {} restarts", now.main_pid, now.restarts);
}

Result<std::string> SystemHealth::NoFailedUnits(Systemd& systemd) {
  const std::string state = TRY(systemd.SystemState());
  if (state == "maintenance" || state == "stopping")
    return Fail(Code::kUnhealthy, "expected a system that is up or coming up, found it {}", state);
  std::vector<std::string> failed = TRY(systemd.FailedUnits());
  std::erase_if(failed, [&](const std::string& unit) {
    return std::ranges::any_of(policy_.allowed_failed_units, [&](const std::string& glob) {
      return ::fnmatch(glob.c_str(), unit.c_str(), 0) == 0;
    });
  });
  if (failed.empty()) return std::format("{}, no failed unit", state);
  std::ranges::sort(failed);
  std::string list;
  for (const std::string& unit : failed) list += (list.empty() ? "" : ", ") + unit;
  return Fail(Code::kUnhealthy, "failed: {}; see systemctl status", list);
}

}  // namespace hostos

#include "updater/health/system_health.h"

#include <fnmatch.h>

#include <algorithm>
#include <format>
#include <functional>

#include "updater/base/printable.h"
#include "updater/health/containerd.h"
#include "updater/health/operator_checks.h"

namespace hostos {
namespace {

constexpr char kGateUnit[] = "hostos-health-gate.service";  // still starting while it checks

Result<std::string> NotTried(std::string_view why) {
  return Fail(Code::kUnhealthy, "not tried: {}", why);
}

// Runs one check with its share of the remaining time. Its detail says what it found, or why it
// fails.
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
  // Asks only a containerd that serves: a question without an answer would cost its whole deadline.
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
  add("containerd-settings", deadline.left(),
      serving_or([&](const Deadline& end) -> Result<std::string> {
        if (!AsksForSettings()) return "not asked for";
        TRY(containerd.HasHostOsSettings(end));
        return "systemd's cgroups, CNI plugins in /opt/cni/bin";
      }));
  add("canary", deadline.left(), serving_or([&](const Deadline& end) {
        return containerd.RunCanary(policy_.canary, policy_.runtime, end)
            .transform([](const std::string& stays) {
              return "created, started, ended with exit code 0, deleted" +
                     (stays.empty() ? "" : "; " + stays);
            });
      }));
}

// The settings of a containerd that is not HostOS's own, or works without CRI, are its operator's.
bool SystemHealth::AsksForSettings() const {
  return policy_.containerd_settings && policy_.containerd_unit == HealthPolicy().containerd_unit &&
         std::ranges::contains(policy_.plugins, "io.containerd.grpc.v1.cri");
}

void SystemHealth::CheckSystemd(const Deadline& deadline, std::vector<CheckResult>& checks) {
  // Both answers take only a moment, so they share one connection and one deadline.
  const Milliseconds limit = std::min<Milliseconds>(policy_.check_timeout, deadline.left());
  Result<Systemd> systemd = Systemd::Connect(bus_address_, Deadline(limit));
  using Question = Result<std::string> (SystemHealth::*)(Systemd&, CheckResult&);
  const auto add = [&](const char* name, Question ask) {
    CheckResult found;
    CheckResult check = Check(name, limit, [&](const Deadline&) -> Result<std::string> {
      if (!systemd) return std::unexpected(systemd.error());
      return (this->*ask)(*systemd, found);
    });
    check.parts = std::move(found.parts);
    check.restarts = found.restarts;
    checks.push_back(std::move(check));
  };
  add("containerd-restarts", &SystemHealth::SameProcess);
  add("units", &SystemHealth::AllUnitsUp);
}

// How often the unit was started since the last look, however long ago that was.
uint32_t SystemHealth::CountRestarts(const ServiceState& now) {
  const ServiceState before = seen_.value_or(now);
  seen_ = now;
  if (now.main_pid == 0) seen_->main_pid = before.main_pid;
  if (now.restarts > before.restarts) return now.restarts - before.restarts;
  return now.main_pid != 0 && before.main_pid != 0 && now.main_pid != before.main_pid;
}

// Checks that containerd's unit runs, in the same process as in the last round. A failure clears
// the memory, so the next round starts fresh from what it finds.
Result<std::string> SystemHealth::SameProcess(Systemd& systemd, CheckResult& found) {
  const std::optional<ServiceState> before = std::exchange(containerd_, std::nullopt);
  const std::string& unit = policy_.containerd_unit;
  const ServiceState now = TRY(systemd.Service(unit));
  found.restarts = CountRestarts(now);
  if (now.active_state != "active" || now.main_pid == 0)
    return Fail(Code::kUnhealthy, "{}: expected active, found {}{}", unit, now.active_state,
                now.active_state == "inactive"
                    ? "; health.containerd_unit names the unit of health.containerd_socket"
                    : "");
  if (before && *before != now)
    return Fail(Code::kUnhealthy, "{} restarted: main process {} became {}, restarts {} became {}",
                unit, before->main_pid, now.main_pid, before->restarts, now.restarts);
  containerd_ = now;
  return std::format("main process {}, {} restarts", now.main_pid, now.restarts);
}

bool SystemHealth::MayFail(const std::string& unit) const {
  return std::ranges::any_of(policy_.allowed_failed_units, [&](const std::string& glob) {
    return ::fnmatch(glob.c_str(), unit.c_str(), 0) == 0;
  });
}

// Checks that no unit failed, waits for a restart, or is still starting. Units that wait for the
// caller of this check (at boot, the gate) do not count as starting.
Result<std::string> SystemHealth::AllUnitsUp(Systemd& systemd, CheckResult& found) {
  const std::string state = TRY(systemd.SystemState());
  if (state == "maintenance" || state == "stopping")
    return Fail(Code::kUnhealthy, "expected a system that is up or coming up, found it {}", state);
  std::string list;
  const auto add = [&](const char* what, std::vector<std::string> units) {
    std::erase_if(units, [&](const std::string& unit) { return MayFail(unit); });
    std::ranges::sort(units);
    for (size_t i = 0; i < units.size(); i++) {
      list += i > 0 ? ", " : std::format("{}{}: ", list.empty() ? "" : "; ", what);
      list += units[i];
      found.parts.push_back("units/" + units[i]);
    }
  };
  add("failed", TRY(systemd.UnitsIn("failed")));
  add("failed and restarting", TRY(systemd.UnitsIn("auto-restart")));
  std::vector<std::string> starting = TRY(systemd.StartingUnits());
  std::erase(starting, kGateUnit);
  add("still starting", std::move(starting));
  if (list.empty()) return std::format("{}, no failed unit", state);
  return Fail(Code::kUnhealthy, "{}; see systemctl status", list);
}

}  // namespace hostos

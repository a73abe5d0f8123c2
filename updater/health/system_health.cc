#include "updater/health/system_health.h"

#include <fnmatch.h>

#include <algorithm>
#include <format>

#include "updater/health/containerd_process.h"
#include "updater/health/operator_checks.h"
#include "updater/health/run_check.h"

namespace hostos {
namespace {

constexpr char kGateUnit[] = "hostos-health-gate.service";  // still starting while it checks

}  // namespace

std::vector<CheckResult> SystemHealth::Round(Milliseconds limit) {
  const Deadline deadline(limit);
  std::vector<CheckResult> checks = AskContainerd(program_, {.socket = policy_.containerd_socket,
                                                             .plugins = policy_.plugins,
                                                             .settings = AsksForSettings(),
                                                             .canary = policy_.canary,
                                                             .runtime = policy_.runtime,
                                                             .check_timeout = policy_.check_timeout,
                                                             .limit = limit});
  CheckSystemd(deadline, checks);
  std::ranges::move(RunOperatorChecks(policy_.checks, policy_.check_timeout, deadline),
                    std::back_inserter(checks));
  return checks;
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
    CheckResult check = RunCheck(name, limit, [&](const Deadline&) -> Result<std::string> {
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

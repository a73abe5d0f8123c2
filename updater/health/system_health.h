// The health of this machine: containerd, its canary, the service manager's units and the
// operator's checks. Every round lists every check, so a report always has the same shape; a check
// that makes no sense after an earlier failure names that failure.
#pragma once

#include <optional>
#include <string>

#include "updater/health/health.h"
#include "updater/health/systemd.h"

namespace hostos {

class SystemHealth : public Health {
 public:
  // `program` is check-containerd.
  SystemHealth(HealthPolicy policy, std::string program, std::string bus_address = kSystemBus)
      : policy_(std::move(policy)),
        program_(std::move(program)),
        bus_address_(std::move(bus_address)) {}

  std::vector<CheckResult> Round(Milliseconds limit) override;

 private:
  bool AsksForSettings() const;
  void CheckSystemd(const Deadline& deadline, std::vector<CheckResult>& checks);
  Result<std::string> SameProcess(Systemd& systemd, CheckResult& found);
  uint32_t CountRestarts(const ServiceState& now);
  Result<std::string> AllUnitsUp(Systemd& systemd, CheckResult& found);
  bool MayFail(const std::string& unit) const;

  HealthPolicy policy_;
  std::string program_, bus_address_;
  std::optional<ServiceState> containerd_;  // as the last round found it, if it was good
  std::optional<ServiceState> seen_;        // as the last round found it
};

}  // namespace hostos

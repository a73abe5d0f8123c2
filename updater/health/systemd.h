// Asks the service manager for the system's state, and NetworkManager for the network's, over the
// system bus. The deadline given to Connect() bounds every call. The only user of sd-bus.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/health/deadline.h"

struct sd_bus;

namespace hostos {

inline constexpr char kSystemBus[] = "unix:path=/run/dbus/system_bus_socket";

// org.freedesktop.systemd1.Service (org.freedesktop.systemd1(5)).
struct ServiceState {
  std::string active_state;  // "active", "activating", "failed", ...; "inactive" when unknown
  uint32_t main_pid = 0;     // 0: none
  uint32_t restarts = 0;     // automatic ones since the last start by hand

  bool operator==(const ServiceState&) const = default;
};

class Systemd {
 public:
  // `address` is a D-Bus address of a message bus.
  static Result<Systemd> Connect(const std::string& address, const Deadline& deadline);

  // "starting", "running", "degraded", "maintenance", "stopping", ...
  Result<std::string> SystemState();
  // Units in this active state or sub state: "failed", "auto-restart".
  Result<std::vector<std::string>> UnitsIn(const char* state);
  // Units that others want or need and that are starting: their start, restart or reload job is
  // running. Leaves out units that wait for such a job, and the unit of this process.
  Result<std::vector<std::string>> StartingUnits();
  Result<ServiceState> Service(const std::string& unit);
  // NetworkManager's property Metered.
  Result<uint32_t> NetworkMetered();

 private:
  struct Close {
    void operator()(sd_bus* bus) const;
  };
  using Bus = std::unique_ptr<sd_bus, Close>;

  Systemd(Bus bus, const Deadline& deadline) : bus_(std::move(bus)), deadline_(deadline) {}
  uint64_t MicrosecondsLeft() const;
  Result<std::string> TextProperty(const char* path, const char* interface, const char* name);
  Result<uint32_t> NumberProperty(const char* destination, const char* path, const char* interface,
                                  const char* name);
  Result<bool> HasNames(const char* path, const char* interface, const char* name);
  Result<bool> IsWanted(const std::string& path);
  Result<std::string> OwnUnit();

  Bus bus_;
  Deadline deadline_;
};

}  // namespace hostos

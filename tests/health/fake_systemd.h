// A message bus with systemd's manager on it, in a thread: what it answers can be changed while it
// runs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "updater/health/systemd.h"

namespace hostos {

struct FakeJob {
  std::string unit;
  std::string type = "start";
  std::string state = "running";
  bool wanted = true;  // by another unit
};

class FakeSystemd {
 public:
  struct State {
    std::string system_state = "running";
    std::vector<std::string> failed;  // units
    ServiceState containerd = {.active_state = "active", .main_pid = 412, .restarts = 0};
    std::string containerd_unit = "containerd.service";
    std::vector<std::string> restarting = {};  // units
    std::vector<FakeJob> jobs = {};
    std::string own_unit = "";             // of who asks
    bool answers = true;                   // else calls are taken and never answered
    std::optional<uint32_t> metered = {};  // as NetworkManager has it; absent: it does not run
  };

  explicit FakeSystemd(State state);
  ~FakeSystemd();

  std::string address() const;
  void Set(State state);

 private:
  class Server;
  std::unique_ptr<Server> server_;
};

}  // namespace hostos

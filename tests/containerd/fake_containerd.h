// A gRPC server that behaves like containerd as far as the health checks go: containers and tasks
// have states, and each step can be told to fail or never to answer.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace hostos {

struct FakePlugin {
  std::string type;
  std::string id;
  std::string error;  // empty: loaded
};

class FakeContainerd {
 public:
  // What happens. Steps are named "health", "version", "plugins", "settings", "namespace create",
  // "container create", "container list", "container delete", and "task" create, list, start, wait,
  // kill or delete.
  struct Script {
    bool serving = true;
    // CRI's configuration.
    std::string settings = R"({"cni": {"binDir": "/opt/cni/bin"},
        "containerd": {"defaultRuntimeName": "runc", "runtimes": {"runc":
        {"runtimeType": "io.containerd.runc.v2", "options": {"SystemdCgroup": true}}}}})";
    std::vector<FakePlugin> plugins = {{"io.containerd.grpc.v1", "cri", ""}};
    std::set<std::string> hangs;                // never answered
    std::map<std::string, std::string> errors;  // answered with this error
    uint32_t exit_code = 0;
    bool never_ends = false;              // the task runs until it is killed
    std::vector<std::string> containers;  // there already, with a running task each
    std::set<std::string> lost_tasks;     // there already, and running, without a container
    std::string dies_in;                  // the step in which it dies, and is started again
  };

  FakeContainerd(const std::string& socket, Script script);
  ~FakeContainerd();

  std::vector<std::string> steps() const;       // as they came
  std::vector<std::string> containers() const;  // that are there now

 private:
  class Server;
  std::unique_ptr<Server> server_;
};

}  // namespace hostos

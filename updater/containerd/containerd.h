// Asks containerd over its socket: is it serving, does it have what the policy needs, can it run a
// container. Each question ends by its deadline, the canary's a little later (see kCanaryCleanup),
// and each failure names its step. The only user of gRPC.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/health/deadline.h"

namespace grpc {
class Channel;
}

namespace hostos {

class Containerd {
 public:
  // Connects on the first question. Use a new object for each round.
  explicit Containerd(const std::string& socket);

  // Health/Check of grpc.health.v1 answers SERVING.
  Result<> Serving(const Deadline& deadline);
  // "1.7.24"
  Result<std::string> Version(const Deadline& deadline);
  // Each of `needed` is loaded without error. "type.id" names one plugin; "type" asks for at least
  // one of that type, because containerd skips those that the machine cannot use.
  Result<> HasPlugins(const std::vector<std::string>& needed, const Deadline& deadline);
  // Pods run with what HostOS sets in /etc/containerd/config.toml: systemd's cgroups, and the CNI
  // plugins in /opt/cni/bin.
  Result<> HasHostOsSettings(const Deadline& deadline);
  // Creates, starts, waits for and deletes a container. Its root is the directory `rootfs`, mounted
  // read-only; its process is /bin/canary, which must end with exit code 0. Pulls nothing. Leaves
  // nothing behind, and also cleans up after an earlier run that was killed or whose containerd
  // was. Returns, in one line, what it could not remove of that; "" for nothing.
  Result<std::string> RunCanary(const std::string& rootfs, const std::string& runtime,
                                const Deadline& deadline);

 private:
  std::string address_;
  std::string state_;  // containerd's state directory
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace hostos

// containerd over its socket: is it serving, does it have what the policy needs, can it run a
// container. Every question is answered or failed by its deadline, the canary's a little later (see
// kCanaryCleanup), and every failure says which step it was. The only user of gRPC.
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

// How long after its deadline a canary that hung may still be cleaning up behind itself.
inline constexpr Milliseconds kCanaryCleanup{5000};

class Containerd {
 public:
  // Connects with the first question. One object answers for one moment: make a new one each round.
  explicit Containerd(const std::string& socket);

  // grpc.health.v1.Health/Check says SERVING.
  Result<> Serving(const Deadline& deadline);
  // "1.7.24"
  Result<std::string> Version(const Deadline& deadline);
  // Each of `needed` is loaded without error. "type.id" names one plugin; "type" alone asks for at
  // least one of that type, since containerd skips those the machine has no use for.
  Result<> HasPlugins(const std::vector<std::string>& needed, const Deadline& deadline);
  // Pods run with what HostOS sets in /etc/containerd/config.toml: systemd's cgroups, and the CNI
  // plugins in /opt/cni/bin.
  Result<> HasHostOsSettings(const Deadline& deadline);
  // Creates, starts, waits for and deletes a container whose root is the directory `rootfs`,
  // mounted read-only, and whose process is /bin/canary, expected to end with exit code 0. Nothing
  // is pulled and nothing stays behind, not even of an earlier run that was killed, or whose
  // containerd was. What of that can't be removed is returned, in one line: "" for nothing.
  Result<std::string> RunCanary(const std::string& rootfs, const std::string& runtime,
                                const Deadline& deadline);

 private:
  std::string address_;
  std::string state_;  // containerd's state directory
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace hostos

// The OCI runtime specification of the canary container.
#pragma once

#include <string>

namespace hostos {

// A config.json (OCI runtime-spec 1.1) that runs /bin/canary without privileges, capabilities or
// network in namespaces and a cgroup of its own, on a read-only root that has /proc, /dev and /sys.
// It asks of the kernel what every pod asks: namespaces, a cgroup with limits, pivot_root, /proc.
std::string CanarySpec(const std::string& id);

}  // namespace hostos

// The OCI runtime specification of the canary container.
#pragma once

#include <string>

namespace hostos {

// A config.json (OCI runtime-spec 1.1) that runs /bin/canary without privileges, capabilities or
// network, in its own namespaces and cgroup, on a read-only root with /proc, /dev and /sys. It asks
// the kernel for what every pod needs: namespaces, a cgroup with limits, pivot_root, /proc.
std::string CanarySpec(const std::string& id);

}  // namespace hostos

// Trials that fail: breaks the staged release, and checks what the node then reports.
#pragma once

#include <memory>
#include <string>

#include "tests/vm/milestones.h"

namespace hostos {

// Breaks the staged 1.1.0 with a shell script and reboots into its trial. The machine runs again
// after `boots` boots in all. In the script, $etc is the /etc upper of the release on trial, $units
// its systemd units; check() and containerd() break what they are named after.
std::unique_ptr<Node> Try(const std::string& name, const std::string& fault, int boots,
                          const Rig& rig = {});

// Checks that 1.0.0 runs again in slot A, after `boots` boots of 1.1.0, for this reason. Returns
// the post-mortem.
nlohmann::json CheckFellBack(Node& node, int boots, const std::string& reason);

// Try(), then CheckFellBack().
nlohmann::json FallsBack(const std::string& name, const std::string& fault, int boots,
                         const std::string& reason, const Rig& rig = {});

// FallsBack() for a release that never reaches its gate, and so uses up all its boots.
nlohmann::json NeverReachesGate(const std::string& name, const std::string& fault,
                                const Rig& rig = {});

}  // namespace hostos

// Trials that fail, as tests make them: what breaks the staged release, and what the node says of
// it afterwards.
#pragma once

#include <memory>
#include <string>

#include "tests/vm/milestones.h"

namespace hostos {

// Breaks the staged 1.1.0 with a shell script and reboots into its trial; the machine runs again
// after so many boots in all. In the script $etc is the /etc upper of the release on trial, $units
// its systemd units, and check() and containerd() break what they are named after.
std::unique_ptr<Node> Try(const std::string& name, const std::string& fault, int boots,
                          const Rig& rig = {});

// 1.0.0 runs again in slot A, after so many boots of 1.1.0, for this reason; returns the
// post-mortem.
nlohmann::json CheckFellBack(Node& node, int boots, const std::string& reason);

// The two together.
nlohmann::json FallsBack(const std::string& name, const std::string& fault, int boots,
                         const std::string& reason, const Rig& rig = {});

// A release that does not get as far as its gate takes all its boots.
nlohmann::json NeverReachesGate(const std::string& name, const std::string& fault,
                                const Rig& rig = {});

}  // namespace hostos

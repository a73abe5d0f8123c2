// Points in a node's life that tests start from. Each is reached once by living up to it, then kept
// as a snapshot beside the releases: so a booted machine costs a second instead of a minute.
#pragma once

#include <memory>
#include <string>

#include "tests/vm/node.h"

namespace hostos {

// 1.0.0 is in /dev/vda2, with its hash tree in /dev/vda3; 1.1.0 is in /dev/vda4 and /dev/vda5.
// Tests do not use labels, because both partitions of a release have the same one.
enum class Milestone {
  kFirst,   // 1.0.0 in slot A, booted; nothing newer published
  kStaged,  // 1.1.0 staged in slot B: the next boot is its trial
  kSecond,  // updated to 1.1.0 in slot B, blessed
};

// A node at the milestone. `name` is for its logs; `rig` is added to the machine.
Result<std::unique_ptr<Node>> NodeAt(Milestone milestone, const std::string& name, Rig rig = {});

// Lives a node up to the milestone, and replaces the kept snapshot.
Result<> Reach(Milestone milestone);

}  // namespace hostos

// Points in a node's life that tests start from. Each is reached by living up to it once, and then
// kept as a snapshot beside the releases: a booted machine costs a second instead of a minute.
#pragma once

#include <memory>
#include <string>

#include "tests/vm/node.h"

namespace hostos {

// 1.0.0 is in /dev/vda2, with its hash tree in /dev/vda3, and 1.1.0 in /dev/vda4 and /dev/vda5. Not
// by label: a release's two partitions have the same.
enum class Milestone {
  kFirst,   // 1.0.0 in slot A, booted; nothing newer published
  kStaged,  // 1.1.0 staged in slot B: the next boot is its trial
  kSecond,  // updated to 1.1.0 in slot B, blessed
};

// A node at the milestone; `name` is for its logs, `rig` what is added to it.
Result<std::unique_ptr<Node>> NodeAt(Milestone milestone, const std::string& name, Rig rig = {});

// Lives up to the milestone, and replaces the kept snapshot.
Result<> Reach(Milestone milestone);

}  // namespace hostos

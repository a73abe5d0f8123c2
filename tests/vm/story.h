// The life of a node in chapters, written once: virtual machine tests assert it, and `dev demo`
// shows it. A chapter succeeds only if everything in it holds. Each chapter continues where the one
// before ended.
#pragma once

#include <string>

#include "tests/vm/node.h"
#include "updater/base/result.h"

namespace hostos {

class Narrator {
 public:
  virtual ~Narrator() = default;
  // Announces what comes next, in one line.
  virtual void Chapter(const std::string& title) = 0;
  // Shows a command in the guest, and its output.
  virtual void Shown(const std::string& command, const std::string& output) = 0;
  // Shows something that was checked and holds.
  virtual void Held(const std::string& fact) = 0;
};

// 1.0.0 boots from a new disk, in slot A.
Result<> FirstBoot(Node& node, Narrator& narrator);
// 1.1.0 is fetched, boots in slot B and is blessed. An edit of /etc comes along.
Result<> UpdateToSecond(Node& node, Narrator& narrator);
// 1.2.0, whose containerd cannot start, falls back to 1.1.0 after one boot and is then refused.
Result<> FallBackFromBrokenContainerd(Node& node, Narrator& narrator);
// 1.3.0, whose root cannot be mounted, falls back to 1.1.0 after three boots in which none of
// HostOS's own code ran.
Result<> FallBackFromUnbootable(Node& node, Narrator& narrator);
// 1.1.0 is rolled back to 1.0.0 with its /etc, and is then refused.
Result<> RollBackToFirst(Node& node, Narrator& narrator);

}  // namespace hostos

// The life of a node in chapters: what the virtual machine tests assert and `dev demo` shows, once.
// A chapter is a success only when everything in it held. Each continues where the one before
// ended.
#pragma once

#include <string>

#include "tests/vm/node.h"
#include "updater/base/result.h"

namespace hostos {

class Narrator {
 public:
  virtual ~Narrator() = default;
  // What comes next, one line.
  virtual void Chapter(const std::string& title) = 0;
  // A command in the guest, and what it printed.
  virtual void Shown(const std::string& command, const std::string& output) = 0;
  // Something that was checked, and held.
  virtual void Held(const std::string& fact) = 0;
};

// 1.0.0 boots from a new disk: slot A.
Result<> FirstBoot(Node& node, Narrator& narrator);
// 1.1.0 is fetched, boots in slot B and is blessed; an edit of /etc comes along.
Result<> UpdateToSecond(Node& node, Narrator& narrator);
// 1.2.0, whose containerd can't start, falls back to 1.1.0 after one boot and is then refused.
Result<> FallBackFromBrokenContainerd(Node& node, Narrator& narrator);
// 1.3.0, whose root can't be mounted, falls back to 1.1.0 after three boots in which nothing of
// HostOS's own ran.
Result<> FallBackFromUnbootable(Node& node, Narrator& narrator);
// 1.1.0 goes back to 1.0.0 and its /etc, and is then refused.
Result<> RollBackToFirst(Node& node, Narrator& narrator);

}  // namespace hostos

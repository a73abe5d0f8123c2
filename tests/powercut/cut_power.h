// Power cut at every write of a real node, as its virtual disk saw them: after each prefix of its
// writes, and with those that were not yet flushed lost, kept or torn in any combination, a
// release boots, and it is whole.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tests/vm/node.h"

namespace hostos {

// A piece of a node's life in the virtual machine of this name.
using Life = std::function<std::unique_ptr<Node>(const std::string& name, const std::string& log)>;

// Lives it with its disk's writes logged, then replays them. `first` would boot before them, `last`
// after them; in between either may: a rename on FAT is two writes, and between them an entry can
// have no name. All its machines' names begin with `name`: others can run beside them.
void CutPower(const std::string& name, const Life& live, const std::string& first,
              const std::string& last);

}  // namespace hostos

// Whether nodes that run a root file system can update from it: it has keys that sign commits, and
// a first TUF root. And whether it gives something away: a release is read by everybody.
#pragma once

#include <string>

#include "updater/base/result.h"

namespace hostos {

// kFailed, naming the file: fewer keys of an algorithm in usr/lib/hostos/keys.d than the tree's own
// hostctl.toml asks for, one that does not parse, a
// usr/lib/hostos/tuf/root.json that is none, or a secret key anywhere.
Result<> CheckUpdatable(const std::string& tree);

}  // namespace hostos

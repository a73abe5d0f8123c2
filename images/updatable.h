// Checks that nodes running a root file system can update from it: it has the keys that sign
// commits, and a first TUF root. Also checks that it contains no secret, because everybody can read
// a release.
#pragma once

#include <string>

#include "updater/base/result.h"

namespace hostos {

// kFailed, naming the file: usr/lib/hostos/keys.d has fewer keys of an algorithm than the tree's
// own hostctl.toml asks for, or one that does not parse; usr/lib/hostos/tuf/root.json is no root;
// or there is a secret key anywhere.
Result<> CheckUpdatable(const std::string& tree);

}  // namespace hostos

// What the running release consists of (docs/sbom.md): a file of its root.
#pragma once

#include <string>

#include "updater/base/result.h"

namespace hostos {

// Of the release whose root is `root`, "" for the running one. `format` is one that the verb takes.
// kNotFound when the release has none.
Result<std::string> ReadSbom(const std::string& root, const std::string& format);

}  // namespace hostos

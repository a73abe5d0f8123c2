// The same work by the public tools, one after the other.
#pragma once

#include <map>

#include "tests/bench/measure.h"
#include "tests/node/file_node.h"

namespace hostos {

// Pulls `releases.to` beside the running release, makes an erofs image of it, a hash tree, and
// copies the image onto a file with a sync: by name, what each of them cost. A checkout between
// the first and the second is not counted.
Result<std::map<std::string, Cost>> RunTools(const Releases& releases, const std::string& url,
                                             const std::string& directory);

// Bytes in the archive of the objects that `releases.to` has and `releases.from` has not, by what
// `ostree ls` says is in them; its commit and signatures included.
Result<uint64_t> MissingObjectBytes(const Releases& releases, const std::string& log);

}  // namespace hostos

// Runs hostctl on a FileNode's files, in this process.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "tests/node/file_node.h"
#include "tests/node/file_world.h"

namespace hostos {

struct Said {
  ExitCode code = ExitCode::kDone;
  std::string out, err;
};

inline Said Ask(const FileNode& node, const std::vector<const char*>& words) {
  std::ostringstream out, err;
  Console console{.out = out, .err = err};
  const ExitCode code = RunOnFiles(node.directory(), words, console);
  return {code, out.str(), err.str()};
}

}  // namespace hostos

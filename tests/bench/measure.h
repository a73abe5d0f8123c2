// What a piece of work costs, taken from a process of its own: the kernel's own accounts, and
// nothing of the measuring program.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "updater/base/result.h"

namespace hostos {

struct Cost {
  double wall = 0;           // seconds
  double cpu = 0;            // seconds, user and system
  uint64_t peak_rss = 0;     // bytes: VmHWM of the process, or of the largest program it ran
  uint64_t written = 0;      // bytes handed to the file system
  nlohmann::json said = {};  // what the work returned
};

// Runs the work in a child process. Its programs count as its own.
Result<Cost> Measure(const std::function<Result<nlohmann::json>()>& work);
// The same for one program, with its output in `log`.
Result<Cost> MeasureProgram(const std::vector<std::string>& argv, const std::string& log);

}  // namespace hostos

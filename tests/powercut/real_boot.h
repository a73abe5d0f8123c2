// A disk as a power cut left it, really booted.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace hostos {

// What a power cut left of the writes in a log.
struct DiskState {
  size_t writes = 0;                              // the first so many are on the disk,
  std::vector<std::pair<size_t, uint64_t>> also;  // and of later ones, by number, so many bytes
};

// A disk in this state, by the log at `log`, boots, and this version runs, once the node came to
// rest.
void ReallyBoots(const std::string& name, const std::string& log, const DiskState& state,
                 const std::string& version);

}  // namespace hostos

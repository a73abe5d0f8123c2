// A disk as a power cut left it, really booted.
#pragma once

#include <string>

namespace hostos {

// The disk after the first `writes` entries of the log at `log` boots, and this version runs, once
// the node came to rest.
void ReallyBoots(const std::string& name, const std::string& log, size_t writes,
                 const std::string& version);

}  // namespace hostos

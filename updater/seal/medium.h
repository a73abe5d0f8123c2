// Reads that come from the medium, not from the page cache.
#pragma once

namespace hostos {

// Writes back what is cached of a file or block device, and drops it.
void DropCache(int fd);

}  // namespace hostos

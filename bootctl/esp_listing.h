// Reads an ESP: the entries the loader would offer, the files HostOS left behind, what else fills
// the partition, and the loader's configuration. Writes nothing.
#pragma once

#include "bootctl/esp.h"

namespace hostos {

// `root` is the ESP's root directory, `path` its name in messages.
Result<EspContents> ReadEspContents(const std::string& path, int root, uint16_t machine);

}  // namespace hostos

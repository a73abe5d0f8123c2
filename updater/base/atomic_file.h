// Replaces a small file so that a power cut leaves the old or the new content, never a part of it:
// temporary name, write, fsync, rename, fsync of the directory. HostOS writes such files in no
// other way.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "updater/base/result.h"

namespace hostos {

Result<> WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode = 0644);

// unlink(2) and fsync of the directory; a missing file is no error.
Result<> RemoveFileDurably(const std::string& path);

// fsync of a directory, which makes the names in it durable.
Result<> SyncDirectory(const std::string& path);

// mkdir -p; existing directories keep their mode.
Result<> MakeDirectories(const std::string& path, mode_t mode = 0755);

}  // namespace hostos

// flock(2) with an end: whoever holds a lock, and stands still with it, holds up nobody for ever.
#pragma once

#include "updater/base/clock.h"
#include "updater/base/result.h"

namespace hostos {

// An exclusive lock of the file that is open as `fd`. False: another holds it, for so long already.
Result<bool> LockWithin(int fd, Milliseconds limit);

}  // namespace hostos

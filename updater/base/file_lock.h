// flock(2) with a timeout: a process that stalls while it holds a lock blocks nobody for ever.
#pragma once

#include "updater/base/clock.h"
#include "updater/base/result.h"

namespace hostos {

// Takes an exclusive lock on the file open as `fd`. False: another process held it until the limit.
Result<bool> LockWithin(int fd, Milliseconds limit);

}  // namespace hostos

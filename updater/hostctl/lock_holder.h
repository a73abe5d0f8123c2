// Finds out who is changing something right now, without ever taking the lock: looking must not
// make another process's update fail.
#pragma once

#include <string>

namespace hostos {

// "hostctl update, pid 812, since 2026-11-21 01:02 UTC". "" when nobody holds the lock file of
// StateDir::TryLock(), or when the holder cannot be told. `locks` is /proc/locks (proc_locks(5)).
std::string LockHolder(const std::string& lock_file, const std::string& locks = "/proc/locks");

}  // namespace hostos

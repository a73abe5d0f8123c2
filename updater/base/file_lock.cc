#include "updater/base/file_lock.h"

#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace hostos {

// Polls, because flock(2) has no timeout and a signal to end it would affect the whole process.
Result<bool> LockWithin(int fd, Milliseconds limit) {
  using Steady = std::chrono::steady_clock;
  constexpr Milliseconds kPause{50};
  const Steady::time_point end = Steady::now() + limit;
  while (::flock(fd, LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return FailErrno("lock");
    const auto left = end - Steady::now();
    if (left <= Steady::duration::zero()) return false;
    std::this_thread::sleep_for(std::min<Steady::duration>(kPause, left));
  }
  return true;
}

}  // namespace hostos

// Preloaded into a program: its clock is so many seconds ahead as the environment's CLOCK_AHEAD
// says, at each call. So a walk takes months, and everything it starts believes in them.
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

static time_t Ahead() {
  const char* seconds = ::getenv("CLOCK_AHEAD");
  return seconds ? std::strtol(seconds, nullptr, 10) : 0;
}

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  const long result = ::syscall(SYS_clock_gettime, clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += Ahead();
  return static_cast<int>(result);
}

time_t time(time_t* out) noexcept {
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(timeval* out, void*) noexcept {
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  *out = {.tv_sec = now.tv_sec, .tv_usec = static_cast<suseconds_t>(now.tv_nsec / 1000)};
  return 0;
}

}  // extern "C"

// hostos-fetch@.service: fetches releases for the hostctl at the other end of its standard input,
// as long as that hostctl lives.
#include <malloc.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "updater/fetch/worker.h"

namespace hostos {
namespace {

// Exits in the middle of anything, as after a power cut; the next worker goes on from there.
void EndWithPeer() {
  pollfd peer{.fd = STDIN_FILENO, .events = POLLRDHUP, .revents = 0};
  while (::poll(&peer, 1, -1) < 0) continue;
  ::_exit(0);
}

Result<> Main() {
  const char* directory = std::getenv("STATE_DIRECTORY");  // systemd.exec(5)
  if (!directory) return Fail(Code::kUsage, "expected to be started by systemd, for hostctl");
  LeaveOthersAlone();
  ::mallopt(M_ARENA_MAX, 1);  // its threads wait for the network: a heap for each only takes memory
  std::thread(EndWithPeer).detach();
  return Serve(UniqueFd(STDIN_FILENO), directory);
}

}  // namespace
}  // namespace hostos

int main() try {
  const hostos::Result<> end = hostos::Main();
  if (!end) std::cerr << "fetch: " << end.error().message << "\n";
  return end ? 0 : 1;
} catch (const std::exception& exception) {
  // HostOS itself does not throw: this is memory, or a library.
  std::cerr << "fetch: " << exception.what() << "\n";
  return 1;
}

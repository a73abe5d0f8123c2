// Anything may answer on containerd's socket: bytes in place of HTTP/2 and gRPC.
#include "updater/containerd/containerd.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <thread>

#include "tests/fuzz/fuzz.h"
#include "tests/temp_dir.h"

using namespace hostos;

FUZZ(containerd, input) {
  static const TempDir directory;
  const std::string path = directory / "socket";
  (void)::unlink(path.c_str());  // from the previous input
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  PROMISE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  PROMISE(::listen(listener.get(), 1) == 0);
  std::thread server([&] {
    const UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection)  // the client may hang up before it has read everything
      (void)::send(connection.get(), input.data(), input.size(), MSG_NOSIGNAL);
  });
  (void)Containerd(path).Serving(Deadline(Milliseconds(200)));  // good or an error
  (void)::shutdown(listener.get(), SHUT_RDWR);
  server.join();
}

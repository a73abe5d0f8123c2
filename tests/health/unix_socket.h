// A bound unix socket of a test's own.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <stdexcept>
#include <string>

#include "updater/base/unique_fd.h"

namespace hostos {

// `type` is SOCK_STREAM or SOCK_DGRAM. Closing it leaves the path behind, with nobody listening.
inline UniqueFd BindUnix(const std::string& path, int type) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
    throw std::runtime_error("bind " + path);
  return fd;
}

}  // namespace hostos

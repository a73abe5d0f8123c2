// What went over the network: the bodies of the responses, and the requests.
#pragma once

#include <cstdint>

namespace hostos {

struct Traffic {
  uint64_t bytes = 0, requests = 0;
  uint64_t pack_bytes = 0, pack_requests = 0;  // of them, for delta packs

  Traffic& operator+=(const Traffic& more) {
    bytes += more.bytes;
    requests += more.requests;
    pack_bytes += more.pack_bytes;
    pack_requests += more.pack_requests;
    return *this;
  }
  bool operator==(const Traffic&) const = default;
};

}  // namespace hostos

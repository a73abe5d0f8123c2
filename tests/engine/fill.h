// Digests that differ at a glance.
#pragma once

#include "updater/base/digest.h"

namespace hostos {

inline Digest Fill(uint8_t byte) {
  Digest digest;
  digest.bytes.fill(byte);
  return digest;
}

}  // namespace hostos

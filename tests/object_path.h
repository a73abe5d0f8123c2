// Where an OSTree repository keeps an object, below the repository.
#pragma once

#include <string>
#include <string_view>

#include "updater/base/digest.h"

namespace hostos {

// "objects/12/34...cd.commit"
inline std::string ObjectPath(const Digest& checksum, std::string_view extension) {
  const std::string hex = checksum.Hex();
  return std::format("objects/{}/{}.{}", hex.substr(0, 2), hex.substr(2), extension);
}

}  // namespace hostos

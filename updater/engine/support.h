// What the running release says of its support, in its os-release (os-release(5)).
#pragma once

#include <cstdint>
#include <string>

#include "updater/base/result.h"

namespace hostos {

struct Support {
  bool preview = false;        // RELEASE_TYPE=development: not for production
  uint64_t ends = UINT64_MAX;  // SUPPORT_END, the first moment without; or it says none

  bool Over(uint64_t now) const { return now >= ends; }
};

// kFailed when the file cannot be read, or SUPPORT_END is no date such as 2028-08-09.
Result<Support> ReadSupport(const std::string& os_release);

}  // namespace hostos

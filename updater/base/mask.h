// Messages go to journals, monitoring and tickets, where more people read them than a password is
// for.
#pragma once

#include <string>
#include <string_view>

#include "updater/base/result.h"

namespace hostos {

// The text with "***" for what a URL in it has of user name and password, and of a query, which may
// sign a request: "https://***@example.org/a?***".
std::string Masked(std::string_view text);

inline Error MaskedError(Error error) {
  return {error.code, Masked(error.message)};
}

}  // namespace hostos

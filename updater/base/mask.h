// Hides passwords in messages: journals, monitoring and tickets have more readers than a password
// may have.
#pragma once

#include <string>
#include <string_view>

#include "updater/base/result.h"

namespace hostos {

// Replaces with "***" the user name and password of each URL in the text, and its query, which may
// sign a request: "https://***@example.org/a?***".
std::string Masked(std::string_view text);

inline Error MaskedError(Error error) {
  return {error.code, Masked(error.message)};
}

}  // namespace hostos

// The value of a result that must be there: an error ends the test with its full message.
#pragma once

#include <stdexcept>

#include "updater/base/result.h"

namespace hostos {

template <class T>
T Held(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace hostos

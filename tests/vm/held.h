// Results in Catch2: an error fails the test with its full message.
#pragma once

#include <catch2/catch_test_macros.hpp>

#include "updater/base/result.h"

namespace hostos {

template <class T>
T Held(Result<T> result) {
  if (!result) FAIL(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace hostos

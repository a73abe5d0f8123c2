// Results in assertions, so that a test that fails prints the error.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <string>

#include "tests/held.h"

namespace hostos {

// "ok", or the error's message.
template <class T>
std::string Outcome(const Result<T>& result) {
  return result ? "ok" : result.error().message;
}

template <class T>
std::optional<Code> CodeOf(const Result<T>& result) {
  if (result) return std::nullopt;
  return result.error().code;
}

}  // namespace hostos

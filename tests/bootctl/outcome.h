// Results in assertions, so that a test that fails prints the error.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <string>

#include "updater/base/result.h"

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

// The value of a result that must be there.
template <class T>
T Value(Result<T> result) {
  INFO(Outcome(result));
  REQUIRE(result.has_value());
  return *std::move(result);
}

}  // namespace hostos

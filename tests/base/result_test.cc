#include "updater/base/result.h"

#include <catch2/catch_test_macros.hpp>
#include <memory>

using namespace hostos;

namespace {

Result<int> Half(int value) {
  if (value % 2) return Fail(Code::kNotSupported, "{} is odd", value);
  return value / 2;
}

Result<std::unique_ptr<int>> Quarter(int value) {
  int half = TRY(Half(value));
  return std::make_unique<int>(TRY_CONTEXT("second half", Half(half)));
}

}  // namespace

TEST_CASE("TRY yields the value, or leaves with the error and its code") {
  CHECK(*Quarter(8).value() == 2);
  CHECK(Quarter(3).error().message == "3 is odd");
  CHECK(Quarter(3).error().code == Code::kNotSupported);
}

TEST_CASE("TRY_CONTEXT says where the error came from") {
  CHECK(Quarter(6).error().message == "second half: 3 is odd");
  CHECK(Quarter(6).error().code == Code::kNotSupported);
}

TEST_CASE("errno becomes a code that callers branch on") {
  CHECK(FailErrno("x", ENOSPC).error().code == Code::kNoSpace);
  CHECK(FailErrno("x", ENOENT).error().code == Code::kNotFound);
  CHECK(FailErrno("x", EIO).error().code == Code::kFailed);
  CHECK(FailErrno("x", EIO).error().message == "x: Input/output error");
}

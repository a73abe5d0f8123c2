// The story that `dev demo` tells, without a listener.
#include <catch2/catch_test_macros.hpp>

#include "tests/held.h"
#include "tests/vm/milestones.h"
#include "tests/vm/silent.h"

namespace hostos {
namespace {

TEST_CASE("a release whose containerd can't start falls back after one boot and is then refused") {
  Silent silent;
  auto node = Held(NodeAt(Milestone::kSecond, "broken-containerd"));
  Held(FallBackFromBrokenContainerd(*node, silent));
}

TEST_CASE("a release whose root can't be mounted falls back without any of our code") {
  Silent silent;
  auto node = Held(NodeAt(Milestone::kSecond, "unbootable"));
  Held(FallBackFromUnbootable(*node, silent));
}

TEST_CASE("a rollback returns to the release before, and to its own /etc") {
  Silent silent;
  auto node = Held(NodeAt(Milestone::kSecond, "rollback"));
  Held(RollBackToFirst(*node, silent));
}

}  // namespace
}  // namespace hostos

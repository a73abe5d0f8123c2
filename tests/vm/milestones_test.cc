// Reaches again the milestones that the other tests start from.
#include "tests/vm/milestones.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/held.h"

namespace hostos {
namespace {

TEST_CASE("a new node boots the release on its disk from slot A") {
  Held(Reach(Milestone::kFirst));
}

TEST_CASE("a node updates itself into slot B, where the release passes its trial and is blessed") {
  Held(Reach(Milestone::kSecond));
}

}  // namespace
}  // namespace hostos

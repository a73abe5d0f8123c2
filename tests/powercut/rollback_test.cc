// The short one, for every run of the tests.
#include <catch2/catch_test_macros.hpp>

#include "tests/powercut/cut_power.h"
#include "tests/vm/held.h"
#include "tests/vm/milestones.h"

namespace hostos {
namespace {

TEST_CASE("power cut: at every write of a rollback") {
  CutPower(
      [](const std::string& log) {
        auto node = Held(NodeAt(Milestone::kSecond, "cut-rollback", {.write_log = log}));
        Held(node->Run({"hostctl", "rollback"}, 4));
        return node;
      },
      "1.1.0", "1.0.0");
}

}  // namespace
}  // namespace hostos

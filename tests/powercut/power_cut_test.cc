// Each of these takes minutes of a machine's life; the shortest is in every run of the tests.
#include <catch2/catch_test_macros.hpp>

#include "tests/held.h"
#include "tests/powercut/cut_power.h"
#include "tests/vm/milestones.h"

namespace hostos {
namespace {

TEST_CASE("power cut: at every write of a first boot") {
  CutPower(
      "cut-first",
      [](const std::string& name, const std::string& log) {
        auto node = Held(Node::Start(name, Held(ReleaseSet::Open()), "", {.write_log = log}));
        Held(node->WaitBooted());
        return node;
      },
      "1.0.0", "1.0.0");
}

TEST_CASE("power cut: at every write of an update") {
  CutPower(
      "cut-update",
      [](const std::string& name, const std::string& log) {
        auto node = Held(NodeAt(Milestone::kFirst, name, {.write_log = log}));
        Held(node->published().Publish("1.1.0"));
        Held(node->Run({"hostctl", "update"}, 4, Node::kUpdateLimit));
        return node;
      },
      "1.0.0", "1.1.0");
}

TEST_CASE("power cut: at every write of a trial that is passed") {
  CutPower(
      "cut-trial",
      [](const std::string& name, const std::string& log) {
        auto node = Held(NodeAt(Milestone::kStaged, name, {.write_log = log}));
        Held(node->RunToReboot({"systemctl", "reboot"}, 1));
        return node;
      },
      "1.1.0", "1.1.0");
}

TEST_CASE("power cut: at every write of a rollback", "[vm]") {
  CutPower(
      "cut-rollback",
      [](const std::string& name, const std::string& log) {
        auto node = Held(NodeAt(Milestone::kSecond, name, {.write_log = log}));
        Held(node->Run({"hostctl", "rollback"}, 4));
        return node;
      },
      "1.1.0", "1.0.0");
}

}  // namespace
}  // namespace hostos

// After the bless: a release that is counted again for a reboot, and one that goes bad.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/held.h"
#include "tests/vm/trial.h"

namespace hostos {
namespace {

using nlohmann::json;

// 1.0.0 is in the other slot to fall back to.
TEST_CASE("probation: a planned reboot of a good release is counted, and blessed again") {
  auto node = Held(NodeAt(Milestone::kSecond, "recount"));
  // The ESP is mounted when the machine goes down, and unmounted while its entries are renamed.
  Held(node->RunToReboot({"sh", "-c", "ls /efi && systemctl reboot"}, 1));
  INFO(Held(node->Run({"journalctl", "-b", "-1", "-u", "hostos-recount.service"})));
  CHECK_THAT(Held(node->Run({"journalctl", "-b", "-u", "hostos-health-gate.service"})),
             Catch::Matchers::ContainsSubstring("1.1.0 is healthy"));
  const json status = Held(node->Json({"status"}));
  CHECK(status["running"] == "B");
  CHECK(status["slots"][1]["state"] == "blessed");
  CHECK(status["update"] == nullptr);
}

TEST_CASE("probation: an old release whose disk has rotted falls back at a planned reboot") {
  auto node = Held(NodeAt(Milestone::kSecond, "rotten"));
  Held(node->Run({"sh", "-c", "printf X | dd of=/dev/vda4 bs=1 seek=1100 conv=notrunc && sync"}));
  Held(node->RunToReboot({"systemctl", "reboot"}, 4));
  const json found = CheckFellBack(*node, 3, "did not reach its health gate in 3 boots");
  CHECK(found["cause"] == "Kernel panic - not syncing: dm-verity device corrupted");
}

TEST_CASE("probation: a release that goes bad falls back where the policy says so") {
  auto node = Held(NodeAt(Milestone::kSecond, "probation"));
  Held(node->RunToReboot({"sh", "-c", R"sh(set -eu
printf '[probation]\ninterval = 2\nfall_back = true\n' >>/etc/hostctl/hostctl.toml
systemctl restart hostos-probation.service
systemctl mask --runtime --now containerd.service)sh"},
                         1));
  const json found = CheckFellBack(*node, 0, "in its probation: containerd-serving");
  CHECK(found["phase"] == "probation");
  CHECK(found["check"] == "containerd-serving");
}

}  // namespace
}  // namespace hostos

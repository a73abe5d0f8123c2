#include "tests/vm/trial.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/held.h"

namespace hostos {

using nlohmann::json;

namespace {

// Runs in the guest before the trial.
constexpr const char* kPrepare = R"sh(
set -eu
uppers=/var/lib/hostos/etc
etc=$uppers/$1/upper
mkdir -p "$uppers/$1/work"
cp -a "$uppers/$2/upper" "$etc"
rm "$uppers/next-from"
units=$etc/systemd/system
checks=$etc/hostctl/health.d/required
mkdir -p "$units/containerd.service.d" "$units/hostos-health-gate.service.d" "$checks"
check() {
  printf '#!/bin/sh\n%s\n' "$2" >"$checks/$1"
  chmod 0755 "$checks/$1"
}
containerd() {
  printf '[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\n%s\n' "$1" \
    >"$units/containerd.service.d/50-fault.conf"
}
)sh";

std::string UpperOf(const MadeRelease& release) {
  return release.root_hash.Hex().substr(0, 16);
}

}  // namespace

std::unique_ptr<Node> Try(const std::string& name, const std::string& fault, int boots,
                          const Rig& rig) {
  auto node = Held(NodeAt(Milestone::kStaged, name, rig));
  const MadeRelease from = Held(node->releases().Get("1.0.0"));
  const MadeRelease to = Held(node->releases().Get("1.1.0"));
  Held(node->Run({"sh", "-c", kPrepare + fault + "\nsync", "prepare", UpperOf(to), UpperOf(from)}));
  Held(node->RunToReboot({"systemctl", "reboot"}, boots));
  return node;
}

json CheckFellBack(Node& node, int boots, const std::string& reason) {
  const json status = Held(node.Json({"status"}, 5));
  INFO(status.dump(2));
  CHECK(status["running"] == "A");
  CHECK(status["version"] == "1.0.0");
  CHECK(status["boots_next"] == "A");
  CHECK(status["slots"][1]["state"] == "bad");
  CHECK(status["fallback"]["outcome"] == "fell-back");
  CHECK(status["fallback"]["boots"] == boots);
  CHECK_THAT(status["fallback"]["reason"].get<std::string>(),
             Catch::Matchers::ContainsSubstring(reason));
  const std::string why = Held(node.Run({"hostctl", "status", "--why"}, 5));
  UNSCOPED_INFO(why);
  CHECK_THAT(why, Catch::Matchers::ContainsSubstring(reason));
  const json post_mortem = status["fallback"]["post_mortem"];
  REQUIRE(post_mortem.is_object());
  CHECK_THAT(why, Catch::Matchers::ContainsSubstring(post_mortem["cause"].get<std::string>()));
  return post_mortem;
}

json FallsBack(const std::string& name, const std::string& fault, int boots,
               const std::string& reason, const Rig& rig) {
  auto node = Try(name, fault, boots + 1, rig);
  return CheckFellBack(*node, boots, reason);
}

json NeverReachesGate(const std::string& name, const std::string& fault, const Rig& rig) {
  return FallsBack(name, fault, 3, "did not reach its health gate in 3 boots", rig);
}

}  // namespace hostos

// Trials that fail, each in its own way: the node falls back by itself, and can say why. What is
// wrong with the release is put where a release's first boot finds it: into its /etc, its slot or
// its boot image.
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/vm/held.h"
#include "tests/vm/milestones.h"

namespace hostos {
namespace {

using nlohmann::json;

// In the guest, before the trial: $etc is the /etc upper of the release on trial.
constexpr const char* kPrepare = R"sh(
set -eu
uppers=/var/lib/hostos/etc
etc=$uppers/$1/upper
mkdir -p "$uppers/$1/work"
cp -a "$uppers/$2/upper" "$etc"
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

// Breaks the staged 1.1.0 with a shell script and reboots into its trial; the machine runs again
// after so many boots in all.
std::unique_ptr<Node> Try(const std::string& name, const std::string& fault, int boots) {
  auto node = Held(NodeAt(Milestone::kStaged, name));
  const MadeRelease from = Held(node->releases().Get("1.0.0"));
  const MadeRelease to = Held(node->releases().Get("1.1.0"));
  Held(node->Run({"sh", "-c", kPrepare + fault + "\nsync", "prepare", UpperOf(to), UpperOf(from)}));
  Held(node->RunToReboot({"systemctl", "reboot"}, boots));
  return node;
}

// 1.0.0 runs again, after so many boots of 1.1.0, for this reason.
void CheckFellBack(Node& node, int boots, const std::string& reason) {
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
  CHECK_THAT(Held(node.Run({"hostctl", "status", "--why"}, 5)),
             Catch::Matchers::ContainsSubstring(reason));
}

void FallsBack(const std::string& name, const std::string& fault, int boots,
               const std::string& reason) {
  auto node = Try(name, fault, boots + 1);
  CheckFellBack(*node, boots, reason);
}

TEST_CASE("trial: containerd is masked") {
  FallsBack("masked", R"sh(ln -s /dev/null "$units/containerd.service")sh", 1,
            "containerd-serving");
}

TEST_CASE("trial: containerd crashes again and again") {
  FallsBack("crash-loop", R"sh(containerd 'ExecStart=
ExecStart=/bin/false
RestartSec=1')sh",
            1, "containerd-serving");
}

TEST_CASE("trial: containerd's socket accepts and never answers") {
  FallsBack("silent", R"sh(containerd 'Type=exec
ExecStart=
ExecStart=/usr/bin/socat UNIX-LISTEN:/run/containerd/containerd.sock,fork SYSTEM:"sleep infinity"')sh",
            1, "containerd-serving");
}

TEST_CASE("trial: containerd answers for a few seconds at a time") {
  FallsBack("flapping", R"sh(containerd 'RuntimeMaxSec=3
RestartSec=6')sh",
            1, "containerd");
}

TEST_CASE("trial: containerd is up and can't start a container") {
  FallsBack("no-runtime", R"sh(containerd "BindReadOnlyPaths=/bin/false:$(command -v runc)")sh", 1,
            "canary");
}

TEST_CASE("trial: a required check fails") {
  FallsBack("check-fails", R"sh(check 10-site 'echo the site says no; exit 3')sh", 1,
            "required/10-site");
}

TEST_CASE("trial: a required check hangs") {
  FallsBack("check-hangs", R"sh(check 10-site 'sleep infinity')sh", 1, "required/10-site");
}

TEST_CASE("trial: a required check is killed for the memory it takes") {
  FallsBack("check-memory", R"sh(check 10-site 'exec systemd-run --quiet --pipe --wait \
  --property=MemoryMax=16M --property=MemorySwapMax=0 tail /dev/zero')sh",
            1, "required/10-site");
}

TEST_CASE("trial: the health gate crashes") {
  FallsBack("gate-crashes",
            R"sh(printf '[Service]\nExecStart=\nExecStart=/bin/sh -c "kill -SEGV $$$$"\n' \
  >"$units/hostos-health-gate.service.d/50-fault.conf")sh",
            3, "did not reach its health gate");
}

TEST_CASE("trial: the kernel panics after the root was switched to") {
  FallsBack("late-panic",
            R"sh(printf '[Service]\nExecStart=/bin/sh -c "echo c >/proc/sysrq-trigger"\n' \
  >"$units/fault.service"
mkdir -p "$units/sysinit.target.wants"
ln -s ../fault.service "$units/sysinit.target.wants/fault.service")sh",
            3, "did not reach its health gate");
}

TEST_CASE("trial: the kernel panics before its initrd runs") {
  FallsBack("early-panic",
            R"sh(sed -i 's/rd.shell=0/rdinit=\/no/' /efi/EFI/Linux/hostos_1.1.0_*.efi)sh", 3,
            "did not reach its health gate");
}

TEST_CASE("trial: a byte of the root's superblock differs from what was signed") {
  FallsBack("flipped-root",
            "printf X | dd of=/dev/disk/by-partlabel/hostos_1.1.0 bs=1 seek=1100 conv=notrunc", 3,
            "did not reach its health gate");
}

TEST_CASE("trial: a byte of containerd in the root differs from what was signed") {
  FallsBack("flipped-containerd", R"sh(slot=$(readlink -f /dev/disk/by-partlabel/hostos_1.1.0)
mount -t erofs -o ro "$slot" /mnt
block=$(filefrag -b4096 -v /mnt/usr/bin/containerd | awk '$1 == "0:" { print $4 + 0 }')
umount /mnt
[ "$block" -gt 0 ]
printf X | dd of="$slot" bs=1 seek=$((block * 4096 + 64)) conv=notrunc)sh",
            3, "did not reach its health gate");
}

TEST_CASE("trial: the reset button is pressed, and the release is healthy") {
  auto node = Held(NodeAt(Milestone::kStaged, "reset"));
  const int boots = node->vm().Boots();
  Held(node->vm().Spawn({"systemctl", "reboot"}));
  Held(node->vm().WaitBoots(boots + 1, Node::kBootLimit));
  Held(node->vm().WaitUntil([&] { return node->vm().Serial(boots + 1).contains("Welcome to"); },
                            Node::kBootLimit, "the trial to begin"));
  Held(node->vm().Reset());
  Held(node->WaitBooted());
  const json status = Held(node->Json({"status"}));
  CHECK(status["running"] == "B");
  CHECK(status["version"] == "1.1.0");
  CHECK(status["slots"][1]["state"] == "blessed");
  CHECK(status["update"] == nullptr);
}

}  // namespace
}  // namespace hostos

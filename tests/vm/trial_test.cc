// Trials that fail, each in its own way: the node falls back by itself and can say why. The fault
// is put where the release's first boot finds it: into its /etc, its slot or its boot image.
#include "tests/vm/trial.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/held.h"

namespace hostos {
namespace {

using nlohmann::json;

// The gate of the release on trial refused it, by this check and for this reason.
void GateSaysNo(const std::string& name, const std::string& fault, const std::string& check,
                const std::string& reason = "") {
  const json post_mortem = FallsBack(name, fault, 1, reason.empty() ? check : reason);
  CHECK(post_mortem["phase"] == "health gate");
  CHECK(post_mortem["cause"] == "the health gate rebooted it");
  CHECK(post_mortem["check"].get<std::string>().starts_with(check));
  REQUIRE(post_mortem["boots"].size() == 1);
  CHECK(post_mortem["boots"][0]["in_order"] == true);
  CHECK_THAT(post_mortem["boots"][0]["log"].get<std::string>(),
             Catch::Matchers::ContainsSubstring("Journal stopped"));
}

// A condition for units: true in a boot of 1.1.0.
std::string InTrial() {
  const MadeRelease release = Held(Held(ReleaseSet::Open()).Get("1.1.0"));
  return std::format("ConditionKernelCommandLine=roothash={}\n", release.root_hash.Hex());
}

// A unit for systemd, in the initrd or after it, that starts only in boots of 1.1.0.
Rig WithUnit(const std::string& condition, const std::string& script) {
  return {.credentials = {
              {"systemd.extra-unit.fault.service",
               std::format("[Unit]\nDefaultDependencies=no\n{}{}\n"
                           "[Service]\nType=oneshot\nExecStart=/bin/sh -c '{}'\n",
                           InTrial(), condition, script)},
              {"systemd.unit-dropin.sysinit.target~fault", "[Unit]\nWants=fault.service\n"}}};
}

constexpr const char* kInInitrd = "ConditionPathExists=/etc/initrd-release\n";
constexpr const char* kInRootWithJournal =
    "ConditionPathExists=!/etc/initrd-release\nAfter=systemd-journal-flush.service\n";

// Stops the service manager once the watchdog is armed: only the watchdog can end that.
constexpr const char* kHang =
    "until read -r state </sys/class/watchdog/watchdog0/state && [ $$state = active ]; do :; done; "
    "echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze";
constexpr const char* kCrash = "kill -SEGV 1";

TEST_CASE("trial: containerd is masked") {
  GateSaysNo("masked", R"sh(ln -s /dev/null "$units/containerd.service")sh", "containerd-serving");
}

TEST_CASE("trial: containerd crashes again and again") {
  GateSaysNo("crash-loop", R"sh(containerd 'ExecStart=
ExecStart=/bin/false
RestartSec=1')sh",
             "containerd-serving");
}

TEST_CASE("trial: containerd's socket accepts and never answers") {
  GateSaysNo("silent", R"sh(containerd 'Type=exec
ExecStart=
ExecStart=/usr/bin/socat UNIX-LISTEN:/run/containerd/containerd.sock,fork SYSTEM:"sleep infinity"')sh",
             "containerd-serving");
}

TEST_CASE("trial: containerd answers for a few seconds at a time") {
  GateSaysNo("flapping", R"sh(containerd 'RuntimeMaxSec=3
RestartSec=6')sh",
             "containerd", "containerd.service restarted ");
}

TEST_CASE("trial: containerd is killed once in the middle of a canary, and the release is kept") {
  auto node = Try("killed-once", R"sh(containerd RestartSec=1
cat >"$units/kill-once.path" <<UNIT
[Path]
PathChanged=/run/containerd/io.containerd.runtime.v2.task/hostos-health
UNIT
cat >"$units/kill-once.service" <<UNIT
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/systemctl kill --kill-whom=main --signal=KILL containerd.service
UNIT
mkdir -p "$units/multi-user.target.wants"
ln -s ../kill-once.path "$units/multi-user.target.wants/")sh",
                  1);
  const json status = Held(node->Json({"status"}));
  CHECK(status["running"] == "B");
  CHECK(status["slots"][1]["state"] == "blessed");
  CHECK(Held(node->Run({"systemctl", "show", "-P", "NRestarts", "containerd.service"})) == "1\n");
  CHECK(Held(node->Run({"sh", "-c",
                        "ls /run/containerd/io.containerd.runtime.v2.task/hostos-health; "
                        "runc --root /run/containerd/runc/hostos-health list -q"})) == "");
}

TEST_CASE("trial: a service never becomes ready") {
  GateSaysNo("never-ready", R"sh(cat >"$units/slow.service" <<UNIT
[Service]
Type=notify
TimeoutStartSec=0
ExecStart=/bin/sleep infinity
UNIT
mkdir -p "$units/multi-user.target.wants"
ln -s ../slow.service "$units/multi-user.target.wants/")sh",
             "units", "still starting: slow.service");
}

// The old release already has an enabled unit that always fails.
TEST_CASE(
    "trial: a unit that failed before the update is refused, and known when it is asked for") {
  auto node = Held(NodeAt(Milestone::kFirst, "failed-before"));
  Held(node->published().Publish("1.1.0"));
  Held(node->Run({"sh", "-c", R"sh(cat >/etc/systemd/system/old.service <<UNIT
[Service]
Type=oneshot
ExecStart=/bin/false
[Install]
WantedBy=multi-user.target
UNIT
systemctl enable old.service
! systemctl start old.service)sh"}));
  const std::string refused = Held(node->Run({"hostctl", "update"}, 10, Node::kUpdateLimit));
  CHECK_THAT(refused, Catch::Matchers::ContainsSubstring("units: failed: old.service"));
  CHECK_THAT(refused, Catch::Matchers::ContainsSubstring("Nothing was changed."));
  CHECK(Held(node->Json({"status"}))["slots"][1]["state"] == "empty");

  const int boots = node->vm().Boots();
  Held(node->vm().Spawn({"hostctl", "update", "--ignore-health", "--reboot"}));
  Held(node->vm().WaitBoots(boots + 1, Node::kUpdateLimit));
  Held(node->vm().WaitAgent(Node::kBootLimit));
  CHECK(Held(node->vm().Run({"systemctl", "is-system-running", "--wait"}, Node::kBootLimit)).out ==
        "degraded\n");
  const json status = Held(node->Json({"status"}));
  CHECK(node->vm().Boots() == boots + 1);
  CHECK(status["running"] == "B");
  CHECK(status["slots"][1]["state"] == "blessed");
  CHECK(status["known"] == json{"units", "units/old.service"});
}

// The second card is a bridge without ports: for networkd a link like any other, without a carrier.
TEST_CASE("trial: a second card has no cable, and nobody reboots without the loader") {
  auto node = Try(
      "no-cable", "", 1,
      {.credentials = {{"network.netdev.20-second", "[NetDev]\nName=second\nKind=bridge\n"},
                       {"network.network.20-second", "[Match]\nName=second\n[Network]\nDHCP=yes\n"},
                       {"systemd.unit-dropin.multi-user.target~online",
                        "[Unit]\nWants=network-online.target\n"}}});
  CHECK(Held(node->Json({"status"}))["slots"][1]["state"] == "blessed");
  CHECK_THAT(Held(node->Run({"networkctl", "list", "second"})),
             Catch::Matchers::ContainsSubstring("no-carrier"));
  CHECK(Held(node->Run({"systemctl", "is-active", "network-online.target",
                        "systemd-networkd-wait-online.service"})) == "active\nactive\n");

  const int boots = node->vm().Boots();
  // `systemctl kexec` first looks for kexec-tools, which a package list may include.
  for (const std::string target : {"soft-reboot.target", "kexec.target"}) {
    const GuestResult asked =
        Held(node->vm().Run({"systemctl", "start", target}, Node::kCommandLimit));
    CHECK(asked.exit_code != 0);
    CHECK_THAT(asked.err, Catch::Matchers::ContainsSubstring(target) &&
                              Catch::Matchers::ContainsSubstring("refuse manual start"));
    CHECK_THAT(Held(node->Run({"systemctl", "status", target}, 3)),
               Catch::Matchers::ContainsSubstring("Use: systemctl reboot"));
  }
  CHECK(Held(node->vm().Run({"systemctl", "soft-reboot"}, Node::kCommandLimit)).exit_code != 0);
  CHECK(Held(node->Run({"systemctl", "is-system-running"})) == "running\n");
  Held(node->Run({"hostctl", "health"}));
  CHECK(node->vm().Boots() == boots);
}

TEST_CASE("trial: containerd is up and can't start a container") {
  GateSaysNo("no-runtime", R"sh(containerd "BindReadOnlyPaths=/bin/false:$(command -v runc)")sh",
             "canary");
}

TEST_CASE("trial: a required check fails") {
  GateSaysNo("check-fails", R"sh(check 10-site 'echo the site says no; exit 3')sh",
             "required/10-site");
}

TEST_CASE("trial: a required check hangs") {
  GateSaysNo("check-hangs", R"sh(check 10-site 'sleep infinity')sh", "required/10-site");
}

TEST_CASE("trial: a required check is killed for the memory it takes") {
  GateSaysNo("check-memory", R"sh(check 10-site 'exec systemd-run --collect --quiet --pipe --wait \
  --property=MemoryMax=16M --property=MemorySwapMax=0 tail /dev/zero')sh",
             "required/10-site");
}

// What docs/operations.md says about the sandbox of the checks.
TEST_CASE("trial: a check uses the network, containerd, systemd and files, and changes nothing") {
  auto node = Try("check-sandbox", R"sh(
install -m 0600 -o nobody /dev/null /var/lib/private-file
check 10-sandbox 'set -eu
socat -u /dev/null UNIX:/run/containerd/containerd.sock
systemctl is-active containerd.service
socat -u /dev/null TCP:10.0.2.100:8080
cat /var/lib/private-file
echo text >/tmp/file
may() { if "$@"; then echo "may: $*"; exit 1; fi; }
may touch /var/lib/file
may touch /run/file
may mount -t tmpfs tmpfs /tmp
may unshare --mount true
may dd of=/dev/vda conv=notrunc if=/dev/null'
)sh",
                  1);
  const json status = Held(node->Json({"status"}));
  CHECK(status["running"] == "B");
  CHECK(status["slots"][1]["state"] == "blessed");
}

TEST_CASE("trial: the health gate crashes") {
  const json found = NeverReachesGate(
      "gate-crashes",
      R"sh(printf '[Service]\nExecStart=\nExecStart=/bin/sh -c "kill -SEGV $$$$"\n' \
  >"$units/hostos-health-gate.service.d/50-fault.conf")sh");
  CHECK(found["phase"] == "boot");
  CHECK(found["cause"] == "it was shut down");
  CHECK(found["boots"].size() == 3);
}

TEST_CASE("trial: the kernel panics after the root was switched to") {
  const json found = NeverReachesGate("late-panic", "",
                                      WithUnit(kInRootWithJournal, "echo c >/proc/sysrq-trigger"));
  CHECK(found["phase"] == "boot");
  CHECK(found["cause"] == "Kernel panic - not syncing: sysrq triggered crash");
  CHECK_THAT(found["kernel"].get<std::string>(),
             Catch::Matchers::ContainsSubstring("Trigger a crash"));
}

TEST_CASE("trial: the kernel panics before its initrd runs") {
  const json found = NeverReachesGate(
      "early-panic", R"sh(sed -i 's/rd.shell=0/rdinit=\/no/' /efi/EFI/Linux/hostos_1.1.0_*.efi)sh");
  CHECK(found["phase"] == "early boot");
  CHECK(found["boots"].empty());
}

TEST_CASE("trial: the service manager hangs in the initrd") {
  const json found = NeverReachesGate("initrd-hang", "", WithUnit(kInInitrd, kHang));
  CHECK(found["phase"] == "early boot");
  CHECK(found["cause"] == "the hardware watchdog reset the machine");
}

TEST_CASE("trial: a program hangs in the initrd") {
  Rig rig = WithUnit(std::format("{}Before=sysinit.target\n", kInInitrd), "kill -STOP $$$$");
  // The real deadline, only shorter. The repair of the state partition takes longer.
  rig.credentials["systemd.unit-dropin.hostos-trial-deadline.timer~fault"] =
      std::format("[Unit]\n{}[Timer]\nOnBootSec=\nOnBootSec=1min\n", InTrial());
  const std::string fsck = "systemd-fsck@dev-hostos-state.service";
  rig.credentials[std::format("systemd.unit-dropin.{}~slow", fsck)] = R"([Service]
ExecStartPre=/bin/sh -c 'until read -r now _ </proc/uptime && [ $${now%%.*} -gt 80 ]; do :; done; \
  echo the repair has ended >/dev/kmsg')";
  auto node = Try("initrd-stuck", "", 4, rig);
  const int boots = node->vm().Boots();
  const json found = CheckFellBack(*node, 3, "did not reach its health gate in 3 boots");
  CHECK(found["phase"] == "early boot");
  for (int boot = boots - 3; boot < boots; boot++)
    CHECK_THAT(node->vm().Serial(boot), Catch::Matchers::ContainsSubstring("the repair has ended"));
}

TEST_CASE("trial: the service manager hangs after the root was switched to") {
  const json found = NeverReachesGate("late-hang", "", WithUnit(kInRootWithJournal, kHang));
  CHECK(found["phase"] == "boot");
  CHECK(found["watchdog"] == true);
  CHECK(found["cause"] == "the hardware watchdog reset the machine");
}

TEST_CASE("trial: the service manager crashes in the initrd") {
  const json found = NeverReachesGate("initrd-crash", "", WithUnit(kInInitrd, kCrash));
  CHECK(found["phase"] == "early boot");
}

TEST_CASE("trial: the service manager crashes after the root was switched to") {
  const json found = NeverReachesGate("late-crash", "", WithUnit(kInRootWithJournal, kCrash));
  CHECK(found["phase"] == "boot");
}

TEST_CASE("trial: a byte of the root's superblock differs from what was signed") {
  const json found =
      NeverReachesGate("flipped-root", "printf X | dd of=/dev/vda4 bs=1 seek=1100 conv=notrunc");
  CHECK(found["phase"] == "early boot");
  CHECK(found["cause"] == "Kernel panic - not syncing: dm-verity device corrupted");
}

TEST_CASE("trial: the disk can't read a block of the root") {
  auto healthy = Held(NodeAt(Milestone::kStaged, "bad-sector-where"));
  const uint64_t begin = std::stoull(Held(healthy->Run({"cat", "/sys/class/block/vda4/start"})));
  healthy.reset();
  // The second sector of erofs's first block contains the superblock.
  const json found = NeverReachesGate("bad-sector", "", {.bad_sector = begin + 2});
  CHECK(found["phase"] == "early boot");
}

TEST_CASE("trial: a byte of containerd in the root differs from what was signed") {
  const json found = NeverReachesGate("flipped-containerd",
                                      R"sh(slot=/dev/vda4
mount -t erofs -o ro $slot /mnt
block=$(filefrag -b4096 -v /mnt/usr/bin/containerd | awk '$1 == "0:" { print $4 + 0 }')
umount /mnt
[ "$block" -gt 0 ]
printf X | dd of=$slot bs=1 seek=$((block * 4096 + 64)) conv=notrunc)sh");
  CHECK(found["phase"] == "boot");
  CHECK(found["cause"] == "Kernel panic - not syncing: dm-verity device corrupted");
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

// The plan counted the copy; after that, the room for it was taken.
TEST_CASE("trial: there is no room for the copy of /etc, and the release is healthy") {
  auto node = Held(NodeAt(Milestone::kStaged, "no-room-for-etc"));
  const char* etc = "cd /etc && sha256sum machine-id ssh/ssh_host_* site/*";
  const std::string before = Held(node->Run({"sh", "-euc",
                                             R"sh(
mkdir /etc/site
for i in 1 2 3; do head -c 10M /dev/urandom >/etc/site/$i; done
rm -r /var/lib/hostos-fetch/repo
sync
fallocate -l $(($(stat -f -c '%f * %S' /var) - 20 * 1024 * 1024)) /var/full)sh" +
                                                 std::string("\n") + etc}));
  Held(node->RunToReboot({"systemctl", "reboot"}, 1));
  json status = Held(node->Json({"status"}, 1));
  INFO(status.dump(2));
  CHECK(status["running"] == "B");
  CHECK(status["slots"][1]["state"] == "blessed");
  CHECK_THAT(status["problems"].dump(), Catch::Matchers::ContainsSubstring("/etc: at boot"));
  CHECK(Held(node->Run({"sh", "-euc", etc})) == before);
  Held(node->Run({"rm", "/var/full"}));
  Held(node->RunToReboot({"systemctl", "reboot"}, 1));
  status = Held(node->Json({"status"}));
  INFO(status.dump(2));
  CHECK(status["problems"].empty());
  CHECK(Held(node->Run({"sh", "-euc", etc})) == before);
}

// Damage that fsck does not repair by itself (e2fsck -p), in the first block after the superblock.
TEST_CASE("trial: the state partition's file system needs repair, and the release is healthy") {
  auto node = Held(NodeAt(Milestone::kStaged, "state-repair"));
  Held(node->RunToReboot({"sh", "-c", R"sh(set -eu
disk=$(readlink -f /dev/disk/by-partlabel/hostos-state)
fsfreeze --freeze /var # the journal is empty: nothing in it repairs the block
dd if=/dev/urandom of="$disk" bs=4096 seek=1 count=1 oflag=direct conv=notrunc
echo b >/proc/sysrq-trigger)sh"},
                         1));
  const json status = Held(node->Json({"status"}));
  INFO(status.dump(2));
  CHECK(status["running"] == "B");
  CHECK(status["version"] == "1.1.0");
  CHECK(status["slots"][1]["state"] == "blessed");
  CHECK_THAT(Held(node->Run({"journalctl", "-b", "-o", "cat", "-u", "systemd-fsck@*"})),
             Catch::Matchers::ContainsSubstring("Group descriptors look bad"));
}

}  // namespace
}  // namespace hostos

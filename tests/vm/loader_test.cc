// The loader's limits: boot images, entries and an ESP that are not as they should be.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/held.h"
#include "tests/temp_dir.h"
#include "tests/vm/process.h"
#include "tests/vm/trial.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

std::string Sh(Node& node, const std::string& script, int exit_code = 0) {
  return Held(node.Run({"sh", "-c", "set -eu\n" + script}, exit_code, Node::kUpdateLimit));
}

constexpr const char* kFillEsp =
    "dd if=/dev/zero of=/efi/operator.bin bs=1M 2>/dev/null || true; sync -f /efi";

TEST_CASE("loader: a byte of the boot image differs from what was signed") {
  // In a driver in its initrd that no virtual machine loads: the release starts all the same.
  FallsBack("flipped-uki", R"sh(
image=$(echo /efi/EFI/Linux/hostos_1.1.0_*.efi)
name=$(grep -abo drivers/nvme/host/nvme.ko "$image" | cut -d: -f1 | head -n 1)
printf X | dd of="$image" bs=1 seek=$((name + 1000)) conv=notrunc
)sh",
            1, "boot image: expected SHA-256");
}

TEST_CASE("loader: a full ESP refuses an update, and says what fills it") {
  auto node = Held(NodeAt(Milestone::kFirst, "full-esp"));
  Held(node->published().Publish("1.1.0"));
  Sh(*node, kFillEsp);
  CHECK_THAT(Sh(*node, "hostctl update", 9), ContainsSubstring("operator.bin"));
  Held(node->RunToReboot({"systemctl", "reboot"}, 1));
  const json status = Held(node->Json({"status"}));
  CHECK(status["running"] == "A");
  CHECK(status["slots"][1]["state"] == "empty");
}

TEST_CASE("loader: an ESP that fills up after the arm does not decide the trial") {
  auto node = Try("full-esp-trial", kFillEsp, 1);
  json status = Held(node->Json({"status"}, 10));
  CHECK(status["running"] == "B");
  CHECK(status["slots"][1]["state"] == "blessed");
  // Only its rescue has no room beside the present one, until some is freed.
  CHECK(status["rescue"]["version"] == "1.0.0");
  CHECK_THAT(status["rescue"]["problem"].get<std::string>(), ContainsSubstring("MB are free"));
  Sh(*node, "rm /efi/operator.bin; sync -f /efi");
  Held(node->RunToReboot({"systemctl", "reboot"}, 1));
  status = Held(node->Json({"status"}));
  CHECK(status["rescue"]["version"] == "1.1.0");
}

TEST_CASE("loader: a release that finds the ESP read-only can't be blessed, and falls back") {
  FallsBack("read-only-esp", R"sh(mkdir -p "$units/efi.mount.d"
printf '[Mount]\nOptions=ro\n' >"$units/efi.mount.d/50-fault.conf")sh",
            3, "its health gate came to no verdict in 3 boots");
}

TEST_CASE("loader: without an ESP a node runs on, and refuses to change anything") {
  auto node = Held(NodeAt(Milestone::kFirst, "no-esp"));
  Held(node->published().Publish("1.1.0"));
  Sh(*node, R"sh(mkdir -p /etc/systemd/system/efi.mount.d
printf '[Mount]\nWhat=/dev/disk/by-partlabel/gone\n' >/etc/systemd/system/efi.mount.d/50-fault.conf
systemctl daemon-reload
systemctl stop efi.mount)sh");
  CHECK_THAT(Sh(*node, "hostctl update", 1), ContainsSubstring("/efi"));
  CHECK_THAT(Sh(*node, "hostctl status", 1), ContainsSubstring("/efi"));
  Sh(*node, "systemctl is-active --quiet containerd");
}

TEST_CASE("loader: the self-test proves in three reboots that the loader counts and falls back") {
  auto node = Held(NodeAt(Milestone::kSecond, "selftest"));
  const std::string entries = Sh(*node, "ls /efi/EFI/Linux");
  Held(node->RunToReboot({"hostctl", "boot", "selftest", "--reboot"}, 3));
  const json status = Held(node->Json({"status"}));
  INFO(status.dump(2));
  CHECK(status["selftest"]["state"] == "passed");
  CHECK(status["selftest"]["boots"] == 3);
  CHECK(status["running"] == "B");
  CHECK(status["boots_next"] == "B");
  CHECK(status["update"] == nullptr);
  CHECK(Sh(*node, "ls /efi/EFI/Linux") == entries);
  CHECK(Sh(*node, "ls /efi/loader/entries") == "");
  CHECK_THAT(Sh(*node, "journalctl -u hostos-health-gate.service"),
             ContainsSubstring("boot 1 of 3 was as expected, rebooting") &&
                 ContainsSubstring("boot 2 of 3 was as expected, rebooting"));
}

TEST_CASE("loader: an entry that somebody renamed boots, and the next update replaces it") {
  auto node = Held(NodeAt(Milestone::kFirst, "renamed-entry"));
  Sh(*node, "cd /efi/EFI/Linux; mv hostos_1.0.0_*.efi site.efi; sync -f .");
  Held(node->RunToReboot({"systemctl", "reboot"}, 1));
  CHECK(Held(node->Json({"status"}))["running"] == "A");
  Held(node->published().Publish("1.1.0"));
  Held(node->RunToReboot({"hostctl", "update", "--reboot"}, 1));
  const json status = Held(node->Json({"status"}));
  CHECK(status["running"] == "B");
  CHECK(status["slots"][1]["state"] == "blessed");
}

TEST_CASE("loader: a second entry of the release on trial does not outlive its gate's no") {
  auto node = Try("second-entry", R"sh(cd /efi/EFI/Linux
cp hostos_1.1.0_*+3.efi "$(echo hostos_1.1.0_*+3.efi | sed s/+3/+1-2/)"
check 10-site 'exit 1')sh",
                  2);
  const json status = Held(node->Json({"status"}, 5));
  CHECK(status["running"] == "A");
  CHECK(status["boots_next"] == "A");
  CHECK_THAT(status["fallback"]["reason"].get<std::string>(),
             ContainsSubstring("required/10-site"));
  CHECK(Sh(*node, "ls /efi/EFI/Linux/hostos_1.1.0_* | wc -l") == "1\n");
}

// The loader renames an entry to count a boot; here a file with the new name already exists.
TEST_CASE("loader: one that can't rename an entry does not try a release for ever") {
  auto node = Try("no-count", R"sh(cd /efi/EFI/Linux
: >"$(echo hostos_1.1.0_*+3.efi | sed s/+3/+2-1/)"
check 10-site 'systemd-run sh -c "echo b >/proc/sysrq-trigger"; sleep infinity')sh",
                  5);
  CheckFellBack(*node, 4, "the boot loader does not count");
}

// What a boot could mix up: the disks of the root, /var and the ESP, and whose node it is.
std::string WhatIsUsed(Node& node) {
  return Sh(node, R"sh(ls /sys/block/dm-0/slaves
findmnt -n -o SOURCE /var
ls /efi >/dev/null; findmnt -n -t vfat -o SOURCE /efi
cat /etc/machine-id /etc/site.conf)sh");
}

// Acts for whoever attached the disk: makes its state the one mounted last, with an /etc of theirs.
constexpr const char* kOccupy = R"sh(set -eu
mkdir -p /run/twin
mount "/dev/$1"6 /run/twin
for etc in /var/lib/hostos/etc/*/; do
  upper=/run/twin/lib/hostos/etc/$(basename "$etc")/upper
  mkdir -p "$upper"
  echo a stranger >"$upper/site.conf"
done
umount /run/twin
udevadm trigger --action=add --settle "/dev/$1"1 "/dev/$1"6
systemctl stop efi.mount)sh";

void CheckTwin(const std::string& bus) {
  auto node = Held(Node::Start("twins-" + bus, Held(ReleaseSet::Open()), "", {.twin = bus}));
  Held(node->WaitBooted());
  const std::string own = bus == "virtio" ? "sda" : "vda", twin = bus == "virtio" ? "vda" : "sda";
  Sh(*node, "echo the operator >/etc/site.conf");
  const std::string used = WhatIsUsed(*node);
  for (const std::string& partition : {own + "2\n" + own + "3\n", "/dev/" + own + "6\n",
                                       "/dev/" + own + "1\n", std::string("the operator\n")})
    CHECK_THAT(used, ContainsSubstring(partition));
  const auto is_told = [&] {
    const json status = Held(node->Json({"status"}, 1));
    CHECK_THAT(status["problems"].dump(), ContainsSubstring("disk " + twin + ": "));
    CHECK_THAT(Sh(*node, "journalctl --sync; journalctl -b -u hostos-health-gate"),
               ContainsSubstring("disk " + twin + ": "));
    return status;
  };
  CHECK(is_told()["running"] == "A");

  Held(node->Run({"sh", "-c", kOccupy, "sh", twin}));
  CHECK(WhatIsUsed(*node) == used);
  Held(node->RunToReboot({"systemctl", "reboot"}, 1));
  CHECK(WhatIsUsed(*node) == used);
  is_told();

  Held(node->published().Publish("1.1.0"));
  Held(node->RunToReboot({"hostctl", "update", "--reboot"}, 1));
  CHECK(is_told()["running"] == "B");
  const std::string updated = WhatIsUsed(*node);
  CHECK_THAT(updated, ContainsSubstring(own + "4\n" + own + "5\n"));
  CHECK(updated.substr(updated.find("/dev")) == used.substr(used.find("/dev")));
  Sh(*node, "dumpe2fs -h /dev/" + twin + "6 2>/dev/null | grep -q 'Mount count: *1$'");
}

TEST_CASE("loader: a second disk written from the same image is told, and nothing of it is used") {
  CheckTwin("virtio");
}

TEST_CASE("loader: so is one on a bus that is slower than the node's own disk") {
  CheckTwin("ahci");
}

TEST_CASE("loader: a disk with sectors of 4096 bytes boots, and updates itself") {
  const TempDir directory;
  const ReleaseSet releases = Held(ReleaseSet::Open());
  const std::string& made = releases.directory();
  const std::string disk = directory / "disk.qcow2";
  Held(Process::Run({HOSTIMAGE,
                     "disk",
                     "--repo",
                     made + "/repo",
                     "--keys",
                     made + "/keys",
                     "--output",
                     disk,
                     "--format",
                     "qcow2",
                     "--sector-size",
                     "4096",
                     "--esp-size",
                     "400M",
                     "--slot-size",
                     "1G",
                     "--verity-size",
                     "32M",
                     "--state-size",
                     "2G",
                     "hostos/x86-64/releases/1.0.0"},
                    directory / "log"));
  auto node = Held(Node::Start("large-sectors", releases, "", {.disk = disk, .sector_size = 4096}));
  Held(node->WaitBooted());
  CHECK(Sh(*node, "cat /sys/block/vda/queue/logical_block_size") == "4096\n");
  Held(node->published().Publish("1.1.0"));
  Held(node->RunToReboot({"hostctl", "update", "--reboot"}, 1));
  const json status = Held(node->Json({"status"}));
  CHECK(status["running"] == "B");
  CHECK(status["slots"][1]["state"] == "blessed");
}

TEST_CASE("loader: an addon gives one node a kernel parameter, in whatever release it runs") {
  const TempDir directory;
  Held(Process::Run({"ukify", "build", "--cmdline=hostos.site=1", "--output", directory / "addon"},
                    directory / "log"));
  Held(Process::Run({"sh", "-c", "base64 -w 0 <\"$1\" >\"$1.text\"", "sh", directory / "addon"},
                    directory / "log"));
  auto node = Held(NodeAt(Milestone::kFirst, "addon"));
  Sh(*node, std::format("mkdir -p /efi/loader/addons\n"
                        "echo {} | base64 -d >/efi/loader/addons/site.addon.efi; sync -f /efi",
                        Held(ReadFile(directory / "addon.text"))));
  Held(node->RunToReboot({"systemctl", "reboot"}, 1));
  CHECK_THAT(Sh(*node, "cat /proc/cmdline"), ContainsSubstring(" hostos.site=1"));
  CHECK_THAT(Sh(*node, "hostctl verify"),
             ContainsSubstring("loader/addons/site.addon.efi: goes into every boot image") &&
                 ContainsSubstring("more than the boot image's own: \"hostos.site=1\""));
  Held(node->published().Publish("1.1.0"));
  Held(node->RunToReboot({"hostctl", "update", "--reboot"}, 1));
  CHECK(Held(node->Json({"status"}))["running"] == "B");
  CHECK_THAT(Sh(*node, "cat /proc/cmdline"), ContainsSubstring(" hostos.site=1"));
}

// Damages both slots. They have one try each, so these boot: B, A, the rescue system, and A as it
// was signed.
void IsRescued(const std::string& name, const std::string& fault, const Rig& rig = {}) {
  auto node = Try(name, fault + R"sh(
printf '\n[update]\ntries = 1\n' >>/etc/hostctl/hostctl.toml
cd /efi/EFI/Linux
mv hostos_1.1.0_*+3.efi "$(echo hostos_1.1.0_*+3.efi | sed s/+3/+1/)"
for slot in /dev/vda2 /dev/vda4; do printf X | dd of=$slot bs=1 seek=1100 conv=notrunc; done)sh",
                  4, rig);
  const json status = Held(node->Json({"status"}));
  INFO(status.dump(2));
  CHECK(status["running"] == "A");
  CHECK(status["version"] == "1.0.0");
  CHECK(status["boots_next"] == "A");
  CHECK(status["slots"][0]["state"] == "blessed");
  CHECK(status["slots"][1]["state"] == "bad");
  CHECK(Sh(*node, "ls /efi/EFI/Linux/hostos_* | wc -l") == "2\n");
  Held(node->Run({"hostctl", "verify", "--slot", "A"}, 0, Node::kUpdateLimit));
  const std::string history = Held(node->Run({"hostctl", "history"}));
  CHECK_THAT(history, ContainsSubstring("fell back    1.1.0"));
  CHECK_THAT(history, ContainsSubstring("did not reach its health gate in 1 boot"));
}

TEST_CASE("loader: with both slots bad the rescue system installs the good release again") {
  IsRescued("rescue", "");
}

// 1.0.0, which provided the disk's first rescue, trusts no signature on 1.4.0.
TEST_CASE(
    "loader: after a key rotation the rescue is the newest release's, and installs it again") {
  auto node = Held(NodeAt(Milestone::kSecond, "rotated-rescue"));
  CHECK(Held(node->Json({"status"}))["rescue"]["version"] == "1.1.0");
  Held(node->published().Publish("1.4.0"));
  const json plan = Held(node->Json({"update", "--plan"}));
  INFO(plan.dump(2));
  CHECK(plan["plan"]["rescue"]["from"] == "1.1.0");
  CHECK(plan["plan"]["rescue"]["fits"] == true);
  Held(node->RunToReboot({"hostctl", "update", "--reboot"}, 1));
  json status = Held(node->Json({"status"}));
  INFO(status.dump(2));
  REQUIRE(status["version"] == "1.4.0");
  CHECK(status["rescue"]["version"] == "1.4.0");
  CHECK(status["rescue"]["problem"] == nullptr);
  CHECK(Sh(*node, "ls /efi/EFI/Linux/hostos-rescue* | wc -l") == "1\n");
  CHECK_THAT(Sh(*node, "hostctl verify"), ContainsSubstring("as signed with 1.4.0"));

  // One try each: A with 1.4.0, B with 1.1.0, the rescue system, and 1.4.0 as it was signed.
  Sh(*node, R"sh(printf '\n[update]\ntries = 1\n' >>/etc/hostctl/hostctl.toml
for slot in /dev/vda2 /dev/vda4; do printf X | dd of=$slot bs=1 seek=1100 conv=notrunc; done
sync)sh");
  Held(node->RunToReboot({"systemctl", "reboot"}, 4));
  status = Held(node->Json({"status"}));
  INFO(status.dump(2));
  CHECK(status["running"] == "A");
  CHECK(status["version"] == "1.4.0");
  CHECK(status["slots"][0]["state"] == "blessed");
  CHECK(status["rescue"]["version"] == "1.4.0");
  Held(node->Run({"hostctl", "verify", "--slot", "A"}, 0, Node::kUpdateLimit));
}

TEST_CASE("loader: with both slots bad and no server the rescue system takes it from a disk") {
  const TempDir directory;
  const std::string releases = Held(ReleaseSet::Open()).directory();
  Held(Process::Run({"sh", "-euc", R"sh(
cd "$1"
ostree init --mode=archive --repo=repo
ostree pull-local --repo=repo "$2/repo" hostos/x86-64/releases/1.0.0
cp -r "$2/repo/metadata" "$2/repo/targets" repo
mke2fs -q -t ext4 -L HOSTOS-REPO -d repo disk 512M)sh",
                     "make", directory.path(), releases},
                    directory / "log"));
  // Nobody listens at this address.
  IsRescued("rescue-disk",
            R"sh(sed -i s/:8080/:9/ /etc/hostctl/hostctl.toml "$etc/hostctl/hostctl.toml")sh",
            {.attached = directory / "disk"});
}

// A node right after its installation: the other slot is empty and never held a release.
TEST_CASE("loader: a node as installed that the rescue installs again is the same node") {
  auto node = Held(NodeAt(Milestone::kFirst, "rescue-installed"));
  Sh(*node, R"sh(mkdir -p /etc/kubernetes
echo site >/etc/site.conf
echo kubelet >/etc/kubernetes/kubelet.conf)sh");
  const char* identity =
      "cd /etc && sha256sum machine-id ssh/ssh_host_* site.conf kubernetes/kubelet.conf";
  const std::string before = Sh(*node, identity);
  // Changes a byte of a program that nothing here runs, and leaves no release a try.
  Sh(*node,
     R"sh(block=$(filefrag -b4096 -v /usr/lib/cni/bandwidth | awk '$1 == "0:" { print $4 + 0 }')
[ "$block" -gt 0 ]
printf X | dd of=/dev/vda2 bs=1 seek=$((block * 4096 + 64)) conv=notrunc
cd /efi/EFI/Linux
mv hostos_1.0.0_*.efi "$(echo hostos_1.0.0_*.efi | sed s/.efi/+0-3.efi/)"
sync)sh");
  Held(node->vm().Reset());
  Held(node->vm().WaitBoots(node->vm().Boots() + 1, Node::kBootLimit));
  Held(node->WaitBooted());
  const json status = Held(node->Json({"status"}));
  INFO(status.dump(2));
  CHECK(status["running"] == "A");
  CHECK(status["version"] == "1.0.0");
  CHECK(status["slots"][0]["state"] == "blessed");
  CHECK(Sh(*node, identity) == before);
  // The damaged program, the boot image, and the objects that name them, with the commit.
  const std::vector<HttpRequest> requests = node->server().Requests();
  CHECK(std::ranges::count_if(requests, [](const HttpRequest& request) {
          return request.path.contains("/objects/") && request.status == 200;
        }) < 16);
  Held(node->Run({"hostctl", "verify", "--slot", "A"}, 0, Node::kUpdateLimit));
}

}  // namespace
}  // namespace hostos

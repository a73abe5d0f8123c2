// What a node accepts as a release when somebody else had access to its disk, or to what is carried
// to it.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "images/bundle_release.h"
#include "tests/held.h"
#include "tests/temp_dir.h"
#include "tests/vm/process.h"
#include "tests/vm/trial.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

std::string Says(Node& node, const std::string& command, int exit_code = 0) {
  return Held(node.Run({"sh", "-euc", command + " 2>&1"}, exit_code, Node::kUpdateLimit));
}

TEST_CASE(
    "trust: a boot image that names another root than the signed one is found, and falls back") {
  auto node = Held(NodeAt(Milestone::kStaged, "other-root"));
  Says(*node, "cd /efi/EFI/Linux; cat hostos_1.0.0_*.efi >other; mv other hostos_1.1.0_*+3.efi");
  CHECK_THAT(Says(*node, "hostctl verify --slot B", 7), ContainsSubstring("boot image"));
  Held(node->RunToReboot({"systemctl", "reboot"}, 1));
  const json status = Held(node->Json({"status"}, 5));
  INFO(status.dump(2));
  CHECK(status["running"] == "A");
  CHECK(status["version"] == "1.0.0");
  CHECK_THAT(status["fallback"]["reason"].get<std::string>(),
             ContainsSubstring("its boot entry is gone from the ESP, or boots another root"));
}

TEST_CASE("trust: a flipped byte of the other slot is found, with its place") {
  auto node = Held(NodeAt(Milestone::kSecond, "flipped-slot"));
  Says(*node, "printf X | dd of=/dev/vda2 bs=1 seek=5000000 conv=notrunc");
  CHECK_THAT(Says(*node, "hostctl verify", 7), ContainsSubstring("bytes 4997120-5001215"));
  CHECK_THAT(Says(*node, "hostctl verify --slot B"), ContainsSubstring("proven"));
}

TEST_CASE("trust: a user who locks all that is open to everybody holds up no verb, and no gate") {
  auto node = Held(NodeAt(Milestone::kFirst, "locker"));
  Says(*node, R"sh(
for path in /run/hostos /run/hostos/metrics.prom; do
  systemd-run --quiet --uid=nobody --collect flock -x $path sleep infinity
  while flock -n $path true; do sleep 0.1; done
done
! setpriv --reuid=nobody --clear-groups flock -n /run/hostos/metrics.lock true
for verb in gate "verify --slot A"; do timeout 300 hostctl $verb; done
timeout 300 hostctl update --check || [ $? = 3 ])sh");
}

TEST_CASE("trust: containers are confined as on Debian, and nothing is forwarded unasked") {
  // A client of containerd that the root does not have.
  const TempDir directory;
  std::filesystem::create_directory(directory / "client");
  std::filesystem::copy_file("/usr/bin/ctr", directory / "client/ctr");
  Held(Process::Run(
      {"mke2fs", "-q", "-t", "ext4", "-d", directory / "client", directory / "disk", "512M"},
      directory / "log"));
  auto node = Held(NodeAt(Milestone::kFirst, "confined", {.attached = directory / "disk"}));
  CHECK(Says(*node,
             "sysctl -n fs.protected_regular fs.protected_fifos fs.protected_symlinks "
             "net.ipv4.ip_forward net.ipv6.conf.all.forwarding "
             "net.ipv4.conf.default.rp_filter net.ipv4.conf.default.accept_source_route") ==
        "2\n1\n1\n0\n0\n2\n0\n");
  CHECK_THAT(Says(*node, R"sh(
mkdir /run/root /run/client
mount --bind / /run/root
blockdev --flushbufs /dev/vdb
mount -o ro /dev/vdb /run/client
/run/client/ctr run --rm --rootfs --read-only --apparmor-default-profile cri-containerd.apparmor.d \
  /run/root confined /usr/bin/cat /proc/self/attr/current)sh"),
             ContainsSubstring("cri-containerd.apparmor.d (enforce)"));
}

// A disk with bundles of what `releases` serves: 1.1.0 for nodes that run 1.0.0, and the reverse.
void MakeBundles(const std::string& repo, const TempDir& directory) {
  for (const auto& [version, from] : {std::pair("1.1.0", "1.0.0"), {"1.0.0", "1.1.0"}})
    Held(BundleRelease({.repo = repo,
                        .architecture = "x86-64",
                        .channel = "stable",
                        .version = version,
                        .from = from,
                        .output = directory / (std::string("bundles/") + version)},
                       SystemClock().Now()));
  Held(Process::Run({"mke2fs", "-q", "-t", "ext4", "-L", "bundles", "-d", directory / "bundles",
                     directory / "disk", "512M"},
                    directory / "log"));
}

TEST_CASE("trust: a node without network updates from a bundle on a disk, and by the same rules") {
  const TempDir directory;
  std::filesystem::create_directory(directory / "bundles");
  PublishedReleases releases(Held(ReleaseSet::Open()));
  Held(releases.Publish("1.1.0"));
  MakeBundles(releases.directory(), directory);

  auto node = Held(NodeAt(Milestone::kFirst, "bundle", {.attached = directory / "disk"}));
  // Whatever was read from this disk before the snapshot came from an empty disk.
  const std::string mount =
      "mkdir -p /run/bundles; blockdev --flushbufs /dev/vdb; mount -o ro /dev/vdb /run/bundles; ";
  Says(*node, mount + "for card in /sys/class/net/e*; do ip link set \"${card##*/}\" down; done");
  const std::string update = "hostctl update --from /run/bundles/1.1.0";

  CHECK_THAT(Says(*node,
                  "now=$(date +%s); date -s 2090-01-01 >/dev/null; code=0; " + update +
                      " || code=$?; date -s @$now >/dev/null; exit $code",
                  7),
             ContainsSubstring("expired at"));
  CHECK_THAT(Says(*node,
                  R"(printf '[source]\nchannel = "beta"\n' >/run/beta.toml; )" + update +
                      " --config /run/beta.toml",
                  1),
             ContainsSubstring("hostos/x86-64/beta.json"));
  Held(node->RunToReboot({"hostctl", "update", "--from", "/run/bundles/1.1.0", "--reboot"}, 1));
  const json status = Held(node->Json({"status"}));
  INFO(status.dump(2));
  CHECK(status["running"] == "B");
  CHECK(status["version"] == "1.1.0");
  CHECK(status["slots"][1]["state"] == "blessed");

  CHECK_THAT(Says(*node, mount + "hostctl update --from /run/bundles/1.0.0 --version 1.0.0", 7),
             ContainsSubstring("1.0.0 has index 1 in the order of releases, before 2"));
  CHECK(node->server().Requests().empty());
}

}  // namespace
}  // namespace hostos

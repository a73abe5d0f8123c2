#include "tests/vm/story.h"

#include <format>
#include <sstream>

namespace hostos {
namespace {

using nlohmann::json;

constexpr const char* kEdited = "/etc/site.conf";  // a file of the operator's
// This unit, in the initrd, runs HostOS's first program of a boot.
constexpr const char* kOurInitrdUnit = "This release's changes to /etc";
constexpr const char* kBootsInJournal = "journalctl --list-boots --output=json";

// True if the console shows that systemd started the unit's program.
bool Started(const std::string& console, const std::string& unit) {
  std::istringstream lines(console);
  for (std::string line; std::getline(lines, line);)
    if (line.contains("Starting ") && line.contains(unit)) return true;
  return false;
}

// Runs a command line in the guest and shows it.
Result<std::string> Show(Node& node, Narrator& narrator, const std::string& command,
                         int exit_code = 0) {
  std::string output = TRY(node.Run({"sh", "-c", command}, exit_code));
  narrator.Shown(command, output);
  return output;
}

Result<> UpdateAndReboot(Node& node, Narrator& narrator, int boots) {
  narrator.Shown("hostctl update --reboot",
                 TRY(node.RunToReboot({"hostctl", "update", "--reboot"}, boots)));
  return {};
}

Result<> ExpectSlot(const json& status, int slot, const std::string& version,
                    const std::string& state) {
  const std::string at = std::format("/slots/{}", slot);
  TRY(Expect(status, at + "/release/version", version));
  return Expect(status, at + "/state", state);
}

// The kernel checks every block of "/" against this hash, so the root is the one that was signed.
Result<> ExpectSignedRoot(Node& node, Narrator& narrator, const std::string& version) {
  const MadeRelease release = TRY(node.releases().Get(version));
  const std::string cmdline = TRY(node.Run({"cat", "/proc/cmdline"}));
  TRY(ExpectContains("/proc/cmdline", cmdline, "roothash=" + release.root_hash.Hex()));
  const std::string mounts = TRY(node.Run({"findmnt", "-rno", "SOURCE,FSTYPE,OPTIONS", "/"}));
  TRY(ExpectContains("the mount of /", mounts, "/dev/mapper/root erofs ro,"));
  narrator.Held(std::format("/ is read-only under dm-verity, with the signed root hash {}",
                            release.root_hash.Short()));
  return {};
}

// Scanners follow no link, and a list of another release would be worse than none.
Result<> ExpectPackages(Node& node) {
  TRY(node.Run({"sh", "-c",
                "cd /var/lib/dpkg && [ ! -L ../dpkg ] && ! touch status &&"
                " cmp status /usr/lib/sysimage/dpkg/status"}));
  return {};
}

// What was fetched belongs to another user; root keeps the metadata that it verified itself.
Result<> ExpectFetchedUnprivileged(Node& node, Narrator& narrator) {
  const std::string found = TRY(node.Run(
      {"sh", "-c",
       "cd /var/lib && stat -c %U hostos-fetch/tuf/timestamp.json hostos-fetch/repo/config &&"
       " find hostos-fetch ! -user hostos-fetch && ls -d hostos/repo hostos/tuf 2>&-; true"}));
  if (found != "hostos-fetch\nhostos-fetch\nhostos/tuf\n")
    return Fail(Code::kFailed, "expected all that was fetched to be hostos-fetch's, found:\n{}",
                found);
  narrator.Held("a user without privileges fetched it");
  return {};
}

Result<int> BootsInJournal(Node& node) {
  const json boots = json::parse(TRY(node.Run({"sh", "-c", kBootsInJournal})), nullptr, false);
  if (!boots.is_array()) return Fail(Code::kFailed, "{}: expected a JSON array", kBootsInJournal);
  return static_cast<int>(boots.size());
}

// After a fallback to 1.1.0 in slot B.
Result<> ExpectFallback(Node& node, Narrator& narrator, const std::string& version, int boots,
                        const std::string& reason) {
  TRY(Show(node, narrator, "hostctl status", 5));
  const json status = TRY(node.Json({"status"}, 5));
  TRY(Expect(status, "/running", "B"));
  TRY(Expect(status, "/boots_next", "B"));
  TRY(ExpectSlot(status, 0, version, "bad"));
  TRY(ExpectSlot(status, 1, "1.1.0", "blessed"));
  TRY(Expect(status, "/update", nullptr));
  TRY(Expect(status, "/fallback/release/version", version));
  TRY(Expect(status, "/fallback/outcome", "fell-back"));
  TRY(Expect(status, "/fallback/boots", boots));
  TRY(ExpectContains("the reason of the fallback", status["fallback"].value("reason", ""), reason));
  narrator.Held(
      std::format("1.1.0 runs again after {} boot{} of {}", boots, boots == 1 ? "" : "s", version));
  return {};
}

}  // namespace

Result<> FirstBoot(Node& node, Narrator& narrator) {
  narrator.Chapter("A new node boots 1.0.0 from slot A");
  TRY(node.WaitBooted());
  TRY(Show(node, narrator, "hostctl status"));
  const json status = TRY(node.Json({"status"}));
  TRY(Expect(status, "/version", "1.0.0"));
  TRY(Expect(status, "/running", "A"));
  TRY(ExpectSlot(status, 0, "1.0.0", "factory"));
  TRY(Expect(status, "/slots/1/state", "empty"));
  TRY(ExpectSignedRoot(node, narrator, "1.0.0"));
  TRY(ExpectPackages(node));
  TRY(ExpectContains("the host name", node.Run({"hostname"}), "node-1"));
  if (!Started(node.vm().Serial(1), kOurInitrdUnit))
    return Fail(Code::kFailed, "the console does not tell that \"{}\" ran", kOurInitrdUnit);
  narrator.Held("its name, network and configuration came as system credentials");
  return {};
}

Result<> UpdateToSecond(Node& node, Narrator& narrator) {
  narrator.Chapter("1.1.0 is published; the node updates itself");
  TRY(node.Run({"sh", "-c", std::format("echo 'edited on 1.0.0' >{}", kEdited)}));
  TRY(node.published().Publish("1.1.0"));
  TRY(Show(node, narrator, "hostctl update --plan"));
  TRY(ExpectFetchedUnprivileged(node, narrator));
  TRY(UpdateAndReboot(node, narrator, 1));

  TRY(Show(node, narrator, "hostctl status"));
  const json status = TRY(node.Json({"status"}));
  TRY(Expect(status, "/version", "1.1.0"));
  TRY(Expect(status, "/running", "B"));
  TRY(Expect(status, "/boots_next", "B"));
  TRY(ExpectSlot(status, 0, "1.0.0", "factory"));
  TRY(ExpectSlot(status, 1, "1.1.0", "blessed"));
  TRY(Expect(status, "/slots/1/tries", nullptr));
  TRY(Expect(status, "/update", nullptr));
  TRY(Expect(status, "/denied", json::array()));
  narrator.Held("1.1.0 runs in slot B, passed its health gate and is blessed");
  TRY(ExpectSignedRoot(node, narrator, "1.1.0"));
  TRY(ExpectPackages(node));
  TRY(ExpectContains("the watchdog", node.Run({"cat", "/sys/class/watchdog/watchdog0/state"}),
                     "active"));
  narrator.Held("the hardware watchdog stays armed after the bless");
  TRY(ExpectContains(kEdited, node.Run({"cat", kEdited}), "edited on 1.0.0"));
  narrator.Held(std::format("{}, edited on 1.0.0, came along", kEdited));
  return {};
}

Result<> FallBackFromBrokenContainerd(Node& node, Narrator& narrator) {
  narrator.Chapter("1.2.0 is published; its containerd can't start");
  TRY(node.published().Publish("1.2.0"));
  TRY(UpdateAndReboot(node, narrator, 2));
  TRY(ExpectFallback(node, narrator, "1.2.0", 1, "containerd"));
  TRY(Show(node, narrator, "hostctl update", 12));
  narrator.Held("1.2.0 is not tried again by itself");
  return {};
}

Result<> FallBackFromUnbootable(Node& node, Narrator& narrator) {
  narrator.Chapter("1.3.0 is published; its root can't be mounted");
  const int before = node.vm().Boots();
  const int in_journal = TRY(BootsInJournal(node));
  TRY(node.published().Publish("1.3.0"));
  TRY(UpdateAndReboot(node, narrator, 4));
  TRY(ExpectFallback(node, narrator, "1.3.0", 3, "did not reach its health gate"));

  for (int boot = before + 1; boot <= before + 3; boot++) {
    const std::string serial = node.vm().Serial(boot);
    TRY(ExpectContains(std::format("the console of boot {}", boot), serial, "rootfstype=ext4"));
    if (Started(serial, kOurInitrdUnit))
      return Fail(Code::kFailed, "boot {} of 1.3.0 ran \"{}\":\n{}", boot, kOurInitrdUnit, serial);
  }
  if (int boots = TRY(BootsInJournal(node)); boots != in_journal + 1)
    return Fail(Code::kFailed, "expected one more boot in the journal than {}, found {}",
                in_journal, boots);
  narrator.Held(
      "in those 3 boots no program of HostOS was started: none reached its initrd unit, or a "
      "journal");
  return {};
}

Result<> RollBackToFirst(Node& node, Narrator& narrator) {
  narrator.Chapter("The operator goes back to 1.0.0");
  TRY(node.Run({"sh", "-c", std::format("echo 'edited on 1.1.0' >{}", kEdited)}));
  narrator.Shown("hostctl rollback --reboot",
                 TRY(node.RunToReboot({"hostctl", "rollback", "--reboot"}, 1)));
  TRY(Show(node, narrator, "hostctl status"));
  const json status = TRY(node.Json({"status"}));
  TRY(Expect(status, "/version", "1.0.0"));
  TRY(Expect(status, "/running", "A"));
  TRY(Expect(status, "/boots_next", "A"));
  TRY(ExpectSlot(status, 1, "1.1.0", "bad"));
  TRY(ExpectContains(kEdited, node.Run({"cat", kEdited}), "edited on 1.0.0"));
  narrator.Held("1.0.0 has its own /etc, as it left it");
  TRY(Show(node, narrator, "hostctl update", 12));
  narrator.Held("1.1.0, given up by the operator, is not installed again by itself");
  return {};
}

}  // namespace hostos

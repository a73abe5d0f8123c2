// What can change a boot besides the slots, as `hostctl verify` reports it.
#include "updater/engine/boot_proof.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/scenario/machine.h"
#include "tests/text_file.h"

using namespace hostos;
using Catch::Matchers::ContainsSubstring;

namespace {

BootProof Proof(Machine& machine, bool running_proven = true) {
  return VerifyBoot(machine.world, running_proven).value();
}

// What is reported about it; "" when nothing is.
std::string Told(const BootProof& proof, const std::string& what) {
  const auto found = std::ranges::find(proof.unsigned_items, what, &Unsigned::what);
  return found == proof.unsigned_items.end() ? "" : found->can;
}

}  // namespace

TEST_CASE("whatever is on the ESP and no release signed is told, with what it can do") {
  Machine machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  CHECK(Proof(machine).unsigned_items.empty());
  CHECK(Proof(machine).problem.empty());

  const std::pair<const char*, const char*> cases[] = {
      {"EFI/Linux/hostos_1.1.0_94cf66c6.efi.extra.d/a.addon.efi", "kernel parameters"},
      {"EFI/Linux/hostos_1.1.0_94cf66c6.efi.extra.d/a.cred", "credentials"},
      {"efi/LINUX/hostos_1.1.0_94cf66c6+2-1.EFI.extra.d/a.sysext.raw", "files for its initrd"},
      {"loader/addons/site.addon.efi", "goes into every boot image"},
      {"LOADER/CREDENTIALS/passwd.cred", "a credential for systemd"},
      {"loader/extensions/a.sysext.raw", "files for the initrd"},
      {"loader/entries/a.conf", "a boot entry"},
      {"loader/keys/auto/db.auth", "Secure Boot"},
      {"EFI/systemd/drivers/ext4x64.efi", "a driver"},
      {"EFI/Linux/hostos_1.1.0_94cf66c6.efi", "a boot image"},
      {"EFI/Linux/zz.efi", "a boot image"},
      {"EFI/debian/grubx64.efi", "a program"},
      {"startup.nsh", "a program"},
      {"EFI/BOOT/BOOTX64.EFI", "the boot loader: runs before everything else"},
      {"EFI/systemd/systemd-bootaa64.efi", "the boot loader: runs before everything else"},
      {"notes.txt", "not read by"},
  };
  for (const auto& [path, can] : cases) {
    CAPTURE(path);
    machine.boot.surface.files = {{path, 10}};
    const BootProof proof = Proof(machine);
    REQUIRE(proof.unsigned_items.size() == 1);
    CHECK(proof.unsigned_items[0].what == path);
    CHECK_THAT(proof.unsigned_items[0].can, ContainsSubstring(can));
    CHECK(proof.problem.empty());  // not a fault: an operator may have put it there
  }
  machine.boot.surface.files = {{"loader/random-seed", 32},
                                {"loader/entries.srel", 6},
                                {"loader/loader.conf", 20},
                                {"EFI/Linux/hostos_1.2.0_94cf66c6.efi.tmp", 9},
                                {"FSCK0000.REC", 9}};
  CHECK(Proof(machine).unsigned_items.empty());
}

TEST_CASE("an image with the name and the size of a signed one is told when its bytes are others") {
  Machine machine;
  const std::string file = machine.boot.entries.front().file;
  CHECK(Told(Proof(machine), "EFI/Linux/" + file).empty());
  const auto image = machine.boot.images.begin();
  std::swap(image->second.bytes[0], image->second.bytes[1]);
  CHECK_THAT(Told(Proof(machine), "EFI/Linux/" + file), ContainsSubstring("a boot image"));
}

TEST_CASE("no more is read of an ESP than it can have, whatever its directories say") {
  Machine machine;
  const BootEntry entry = machine.boot.entries.front();
  machine.boot.esp.size = entry.size + entry.size / 2;
  machine.boot.surface.files = {{"EFI/Linux/a.efi", entry.size}};
  CHECK_THAT(Told(Proof(machine), "EFI/Linux/" + entry.file),
             ContainsSubstring("not compared: the files on the ESP are larger than the ESP"));
}

TEST_CASE("the boot loader is that of the running release, where its root is proven") {
  Machine machine;
  const std::string on_esp = "EFI/BOOT/BOOTX64.EFI", loader = "a loader";
  machine.world.boot_loaders = machine.dir / "loaders";
  machine.boot.surface.files = {{on_esp, loader.size()}};
  CHECK_THAT(Told(Proof(machine), on_esp), ContainsSubstring("brings none to compare it with"));

  WriteText(machine.dir / "loaders/systemd-bootx64.efi", loader);
  CHECK_THAT(Told(Proof(machine), on_esp), ContainsSubstring("and is not "));
  machine.boot.other_files[on_esp] = Sha256::Of(AsBytes(loader));
  CHECK(Told(Proof(machine), on_esp).empty());
  CHECK_THAT(Told(Proof(machine, false), on_esp), ContainsSubstring("which is not proven"));
}

TEST_CASE("settings of the loader, of the firmware and for systemd are told") {
  Machine machine;
  using Settings = std::vector<std::string>;
  machine.boot.surface.settings = {"timeout 0", "editor no", "secure-boot-enroll force"};
  CHECK(Told(Proof(machine), "loader/loader.conf") == "sets: secure-boot-enroll force");
  machine.boot.surface.settings = Settings{"timeout 5", "default x*"};
  CHECK_THAT(Told(Proof(machine), "loader/loader.conf"),
             ContainsSubstring("sets: timeout 5, default x*; lacks: editor no"));
  machine.boot.surface.settings = Settings{"timeout 0", "editor no"};

  machine.boot.preferences = {{"EFI variable LoaderEntryOneShot", "x*"}};
  CHECK_THAT(Told(Proof(machine), "EFI variable LoaderEntryOneShot"), ContainsSubstring("\"x*\""));
  machine.boot.surface.systemd_options = "systemd.mask=containerd.service";
  CHECK_THAT(Told(Proof(machine), "EFI variable SystemdOptions"),
             ContainsSubstring("systemd.mask=containerd.service"));
}

TEST_CASE(
    "the whole command line of the kernel is that of the boot image, and what is more is told") {
  Machine machine;
  const std::string what = "the kernel's command line";
  BootSurface& surface = machine.boot.surface;
  surface.image_command_line = " root=/dev/mapper/root  ro panic=5 ";
  surface.command_line = "root=/dev/mapper/root ro panic=5\n";
  CHECK(Proof(machine).unsigned_items.empty());

  surface.command_line = "root=/dev/mapper/root ro panic=5 rd.break init=/bin/sh\n";
  CHECK(Told(Proof(machine), what) == "more than the boot image's own: \"rd.break init=/bin/sh\"");
  CHECK(Proof(machine).problem.empty());

  for (const char* other : {"root=/dev/mapper/root ro panic=0\n", "root=/dev/mapper/root ro\n",
                            "rd.break root=/dev/mapper/root ro panic=5\n", "\n"}) {
    CAPTURE(other);
    surface.command_line = other;
    CHECK_THAT(Proof(machine).problem, ContainsSubstring("expected that of the boot image"));
  }
  surface.image_command_line = std::nullopt;
  CHECK_THAT(Told(Proof(machine), what), ContainsSubstring("no boot image"));
}

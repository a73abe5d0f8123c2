// What is read of a machine: its disk, and what the firmware and the loader say of the boot.
#include "bootctl/systemd_boot.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>

#include "bootctl/gpt.h"
#include "tests/bootctl/loader_fixture.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

TEST_CASE("all of the ESP, the settings and the command lines are there to be compared") {
  LoaderFixture f;
  const std::string esp = f.machine.options().esp;
  WriteText(esp + "/loader/loader.conf",
            "# ours\ntimeout 0\neditor  no\nsecure-boot-enroll force\n");
  WriteText(esp + "/loader/addons/a.addon.efi", "addon");
  WriteText(esp + "/EFI/Linux/x.efi.extra.d/a.cred", "secret");
  WriteText(esp + "/startup.nsh", "boot me");
  BootSurface surface = Held(f.machine.boot().ReadSurface());
  Strings files;
  for (const EspFile& file : surface.files) files.push_back(file.path);
  std::ranges::sort(files);
  CHECK(files == Strings{"EFI/BOOT/BOOTX64.EFI", "EFI/Linux/" + f.FileOf(f.v10, ""),
                         "EFI/Linux/x.efi.extra.d/a.cred", "loader/addons/a.addon.efi",
                         "loader/loader.conf", "startup.nsh"});
  CHECK(surface.files.size() == files.size());
  CHECK(surface.settings == Strings{"timeout 0", "editor no", "secure-boot-enroll force"});
  CHECK(surface.image_command_line.value() + "\n" == surface.command_line);
  CHECK_FALSE(surface.systemd_options);
  for (const char* file : {"startup.nsh", "loader/addons/a.addon.efi"})
    CHECK(Held(f.machine.boot().HashEspFile(file)) ==
          Sha256::Of(AsBytes(ReadText(esp + "/" + file))));

  // A second image with that root hash, which the loader takes first, is not the release's.
  f.Add("zz.efi", f.v10);
  WriteText(f.machine.options().command_line,
            "roothash=" + f.v10.release.root_hash.Hex() + " more\n");
  const std::string variables = f.machine.options().efivars;
  f.SetVariable("SystemdOptions", "systemd.mask=a.service");
  CHECK_FALSE(Held(f.machine.boot().ReadSurface()).systemd_options);  // of another vendor
  fs::rename(variables + "/SystemdOptions-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
             variables + "/SystemdOptions-8cf2644b-4b0b-428f-9387-6d876050dc67");
  surface = Held(f.machine.boot().ReadSurface());
  CHECK(surface.systemd_options == "systemd.mask=a.service");
  CHECK(surface.command_line.ends_with(" more\n"));
  WriteText(variables + "/SystemdOptions-8cf2644b-4b0b-428f-9387-6d876050dc67", "\6");
  CHECK(Held(f.machine.boot().ReadSurface()).systemd_options.value().contains("UTF-16LE"));
}

TEST_CASE("evidence that contradicts itself is an error that names both sides") {
  LoaderFixture f;
  SECTION("partitions under the root that are no slot") {
    f.machine.SetRunning(Slot::A, f.v10.release.root_hash);
    fs::rename(f.machine / "sys/devices/vda/vda3/partition", f.machine / "sys/moved");
    WriteText(f.machine / "sys/devices/vda/vda3/partition", "5\n");
    CHECK(f.Refusal().contains("expected 2 and 3 (slot A) or 4 and 5 (slot B)"));
  }
  SECTION("another root hash on the command line than in the partitions") {
    f.machine.SetRunning(Slot::A, f.v11.release.root_hash);
    CHECK(
        f.Refusal().contains("slot A is running with root hash " + f.v11.release.root_hash.Hex()));
    CHECK(f.Refusal().contains(f.v10.release.root_hash.Hex()));
  }
  SECTION("an empty slot that runs") {
    f.machine.SetRunning(Slot::B, f.v10.release.root_hash);
    CHECK(f.Refusal().contains("slot B is running"));
    CHECK(f.Refusal().contains("say _empty"));
  }
  SECTION("no root hash, or two, on the command line") {
    WriteText(f.machine.options().command_line, "quiet\n");
    CHECK(f.Refusal().contains("expected one roothash= of 64 hexadecimal digits, found \"quiet\""));
  }
  SECTION("an entry that the loader started but that does not run") {
    f.Add("hostos_1.1.0_00000000.efi", f.v11);
    f.SetVariable("LoaderEntrySelected", "hostos_1.1.0_00000000.efi");
    CHECK(f.Refusal().contains("the loader started hostos_1.1.0_00000000.efi"));
  }
  SECTION("a loader from another ESP") {
    f.SetVariable("LoaderDevicePartUUID", "99999999-2222-4333-8444-555555555555");
    CHECK(f.Refusal().contains("the loader was started from partition 99999999"));
    f.SetVariable("LoaderDevicePartUUID", ToString(kImageEsp));
    CHECK(f.Refusal() == "ok");
  }
}

struct OwnDisk : LoaderFixture {
  OwnDisk() { SetVariable("LoaderDevicePartUUID", ToString(kImageEsp)); }
  PartitionTable Table() const { return Held(ReadPartitionTable(machine.disk())); }
  void Attach(const std::string& disk, const Uuid& uuid) const {
    const std::string link = machine.options().dev + "/hostos/by-disk/" + disk;
    fs::create_directories(link);
    fs::create_symlink("../../../" + disk + "1", link + "/" + ToString(uuid));
  }
};

TEST_CASE("a disk written from an image gets UUIDs that no other disk has") {
  OwnDisk first, second;
  for (OwnDisk* each : {&first, &second}) CHECK(Outcome(each->machine.boot().MakeOwn()) == "ok");
  const PartitionTable own = first.Table();
  CHECK(own.esp.uuid != kImageEsp);
  CHECK(own.esp.uuid != second.Table().esp.uuid);
  CHECK(RootHashOf(own.slot(Slot::A)) == first.v10.release.root_hash);

  // Once. The loader was started before; one on another disk was not.
  CHECK(Outcome(first.machine.boot().MakeOwn()) == "ok");
  CHECK(first.Table().esp.uuid == own.esp.uuid);
  CHECK(first.Refusal() == "ok");
  first.Attach("vdb", kImageEsp);
  CHECK(first.Refusal() == "ok");
  // After a reboot the loader names the new one, unless it is the one of another disk.
  fs::remove_all(first.machine.options().run);
  CHECK(first.Refusal().contains("the loader was started from partition"));
  first.SetVariable("LoaderDevicePartUUID", ToString(own.esp.uuid));
  CHECK(first.Refusal() == "ok");
  CHECK(first.Read().twins.empty());
}

TEST_CASE("a disk that the firmware knows by its image's UUID keeps it") {
  OwnDisk f;
  // A device path with the partition's UUID, as it is on the disk.
  const std::string entry =
      "HD \x6a\x45\xfb\xdd\x32\xd7\x57\x42\x8d\xb3\xaf\x8a\x2b\x58\x1a\xf8 \\EFI";
  const std::string file = f.machine.options().efivars + "/Boot";
  const std::string vendor = "-8be4df61-93ca-11d2-aa0d-00e098032b8c";
  SECTION("and is given others where no entry of the firmware has it") {
    for (const char* other : {"Next", "Order", "000G", "00001"})
      WriteText(file + other + vendor, entry);
    WriteText(file + "0001" + vendor, "HD of another disk");
    CHECK(Outcome(f.machine.boot().MakeOwn()) == "ok");
    CHECK(f.Table().esp.uuid != kImageEsp);
  }
  SECTION("where one has") {
    WriteText(file + "00AF" + vendor, entry);
    CHECK(Outcome(f.machine.boot().MakeOwn()) == "ok");
    CHECK(f.Table().esp.uuid == kImageEsp);
  }
}

TEST_CASE("a loader that said nothing leaves the booted entry unknown, and blessing works") {
  LoaderFixture f;
  CHECK(Outcome(f.Arm(f.v11)) == "ok");
  CHECK(Held(f.machine.Boot()) == Slot::B);
  fs::remove_all(f.machine.options().efivars);
  CHECK(f.Read().booted_entry == "");
  CHECK(f.Read().on_trial());
  CHECK(Outcome(f.machine.boot().MarkGood()) == "ok");
  CHECK_FALSE(f.Read().on_trial());
}

TEST_CASE("a loader started twice in one boot is believed about the second entry") {
  // An image that does not load makes the firmware start the loader once more; the variable with
  // the counted path is still that of the first.
  LoaderFixture f;
  CHECK(Outcome(f.Arm(f.v11)) == "ok");
  fs::rename(f.machine.LinuxPath(f.FileOf(f.v11, "+3")),
             f.machine.LinuxPath(f.FileOf(f.v11, "+0-3")));
  f.SetVariable("LoaderBootCountPath", "\\EFI\\Linux\\" + f.FileOf(f.v11, "+0-3"));
  const BootState state = f.Read();
  CHECK(state.booted_entry == f.FileOf(f.v10, ""));
  CHECK_FALSE(state.on_trial());
}

TEST_CASE("on a read-only ESP the loader could not count, and the entry is still known") {
  LoaderFixture f;
  CHECK(Outcome(f.Arm(f.v11)) == "ok");
  f.SetVariable("LoaderEntrySelected", f.FileOf(f.v11, ""));
  f.machine.SetRunning(Slot::B, f.v11.release.root_hash);
  CHECK(f.Read().booted_entry == f.FileOf(f.v11, "+3"));
  CHECK(f.Read().on_trial());
}

TEST_CASE("something foreign that boots first is told, and is not out-armed") {
  LoaderFixture f;
  SECTION("a unified kernel image") {
    f.Add("debian.efi", TestImage("1.2.0"));
  }
  SECTION("a Type #1 entry") {
    WriteText(f.machine.options().esp + "/vmlinuz", "kernel");
    WriteText(f.machine.options().esp + "/loader/entries/debian.conf",
              "sort-key debian\nversion 1\nlinux /vmlinuz\n");
  }
  SECTION("an image that is cut short") {
    f.Add("zzz.efi", TestImage("1.2.0"));
    fs::resize_file(f.machine.LinuxPath("zzz.efi"), f.v12.release.uki_size - 1000);
  }
  SECTION("an image that ties with the release: which is first is up to the directory") {
    const std::string name = "hostos+1.1.0+" + f.v11.release.root_hash.Short() + ".efi";
    f.Add(name, f.v11);
    fs::resize_file(f.machine.LinuxPath(name), f.v11.release.uki_size - 1000);
  }
  const BootState before = f.Read();
  CHECK(before.next() == std::nullopt);
  const Result<> armed = f.Arm(f.v11);
  CHECK(CodeOf(armed) == Code::kNotSupported);
  CHECK(Outcome(armed).contains(before.entries.front().file));
  CHECK(Outcome(armed).contains("Nothing was changed"));
  CHECK(f.Read().slot(Slot::B).label == "_empty");
}

TEST_CASE("a preference of the loader is told, and decides") {
  LoaderFixture f;
  CHECK(Outcome(f.Arm(f.v11)) == "ok");
  REQUIRE(f.Read().next() == Slot::B);
  SECTION("once") {
    f.SetVariable("LoaderEntryOneShot", "hostos_1.0.0*");
  }
  SECTION("always") {
    f.SetVariable("LoaderEntryDefault", f.FileOf(f.v10, ""));
  }
  SECTION("in the configuration") {
    WriteText(f.machine.options().esp + "/loader/loader.conf", "default hostos_1.0.*\n");
  }
  SECTION("the last one booted") {
    WriteText(f.machine.options().esp + "/loader/loader.conf", "default @saved\n");
    f.SetVariable("LoaderEntryLastBooted", f.FileOf(f.v10, ""));
  }
  CHECK(f.Read().next() == Slot::A);
  REQUIRE(f.Read().preferences.size() == 1);
  const Result<> armed = f.Arm(f.v12);
  CHECK(CodeOf(armed) == Code::kNotSupported);
  CHECK(Outcome(armed).contains(f.Read().preferences[0].source));
  CHECK(CodeOf(f.machine.boot().MarkBad(Slot::A)) == Code::kFailed);
}

TEST_CASE(
    "a self-test's entry is what the Boot Loader Specification asks for, and no unknown file") {
  LoaderFixture f;
  WriteText(f.machine.options().esp + "/loader/entries/hostos-selftest.conf.tmp", "left");
  REQUIRE(Outcome(f.machine.boot().AddSelfTest()) == "ok");
  CHECK(ReadText(f.machine.options().esp + "/loader/entries/hostos-selftest+2.conf") ==
        "title HostOS 1.0.0^selftest (self-test)\nversion 1.0.0^selftest\nsort-key hostos\n"
        "efi /EFI/Linux/" +
            f.FileOf(f.v10, "") + "\n");
  CHECK(f.Read().selftest == Strings{"loader/entries/hostos-selftest+2.conf"});
  CHECK(f.Read().esp.unknown.empty());
}

TEST_CASE("a self-test is refused where a preference of the loader decides") {
  LoaderFixture f;
  f.SetVariable("LoaderEntryDefault", GENERATE("hostos*", "hostos-selftest.conf"));
  const Result<> refused = f.machine.boot().AddSelfTest();
  CHECK(CodeOf(refused) == Code::kNotSupported);
  CHECK(Outcome(refused).contains("EFI variable LoaderEntryDefault"));
  CHECK(f.Read().selftest.empty());
}

TEST_CASE("a rescue is refused where a preference of the loader would boot it before a release") {
  LoaderFixture f;
  const TestImage rescue("rescue");
  f.SetVariable("LoaderEntryDefault", "hostos-rescue*");
  const Result<> refused = f.machine.boot().SetRescue(rescue.rescue(), rescue.fd.get());
  CHECK(CodeOf(refused) == Code::kNotSupported);
  CHECK(Outcome(refused).contains("EFI variable LoaderEntryDefault"));
  CHECK(f.Read().Rescue() == nullptr);
}

TEST_CASE("a disk with a partition of the same UUID as one of ours is told, whichever it is") {
  LoaderFixture f;
  CHECK(f.Read().twins.empty());
  const auto link = [&](const std::string& disk, const std::string& uuid) {
    const std::string directory = f.machine.options().dev + "/hostos/by-disk/" + disk;
    fs::create_directories(directory);
    fs::create_symlink("../../../" + disk + "1", directory + "/" + uuid);
  };
  const PartitionTable table = Held(ReadPartitionTable(f.machine.disk()));
  link("vda", ToString(table.esp.uuid));  // our own
  link("sda", "99999999-2222-4333-8444-555555555555");
  CHECK(f.Read().twins.empty());
  link("sdc", ToString(table.esp.uuid));
  link("sdb", ToString(table.slot(Slot::A).verity.uuid));
  CHECK(f.Read().twins == Strings{"sdb", "sdc"});
}

TEST_CASE("on a machine the disk is found under the root, and the ESP must be its partition") {
  LoaderFixture f;
  SystemdBootOptions options = f.machine.options();
  options.disk.clear();
  fs::create_directories(options.dev);
  fs::copy_file(f.machine.disk(), options.dev + "/vda");

  // The test's ESP is on the device that stands in for dm-verity: no partition.
  CHECK(Outcome(SystemdBoot(options).Read()).contains("expected the ESP to be mounted"));

  struct stat status;
  REQUIRE(::stat(options.esp.c_str(), &status) == 0);
  const std::string device =
      std::format("{}/dev/block/{}:{}", options.sys, major(status.st_dev), minor(status.st_dev));
  fs::rename(device, f.machine / "sys/devices/vda/vda9");
  fs::create_directory_symlink("../../devices/vda/vda9", device);
  WriteText(device + "/partition", "9\n");
  for (const char* slave : {"vda2", "vda3"}) {
    fs::remove(device + "/slaves/" + slave);
    fs::create_directory_symlink(std::string("../../") + slave, device + "/slaves/" + slave);
  }
  CHECK(Outcome(SystemdBoot(options).Read())
            .contains("expected partition 1 of vda to be mounted, found 9 of vda"));

  WriteText(device + "/partition", "1\n");
  const BootState state = Held(SystemdBoot(options).Read());
  CHECK(state.slot(Slot::B).data_device == options.dev + "/vda4");
  CHECK(state.slot(Slot::B).verity_device == options.dev + "/vda5");
}

}  // namespace

}  // namespace hostos

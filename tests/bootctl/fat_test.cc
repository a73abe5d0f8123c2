// A FAT rename that power cut short, on a real FAT image: two names of one chain of clusters, or
// neither name, then the check that comes before the ESP is mounted, then our verbs. The build
// machine need not be able to mount FAT: mtools reads and writes the image.
#include <algorithm>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>
#include <fstream>

#include "bootctl/entry_name.h"
#include "tests/bootctl/disk_machine.h"
#include "tests/bootctl/outcome.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// The FAT directory entry with this 8.3 name: its offset in the image.
size_t FindShortName(const std::string& image, const std::string& name) {
  const size_t at = image.find(name);
  REQUIRE(at != std::string::npos);
  return at;
}

TEST_CASE("two names of one image on FAT are told apart after fsck, and blessing leaves one") {
  const TestImage v10("1.0.0"), v11("1.1.0");
  DiskMachine machine(v10);
  REQUIRE(machine.boot().Arm(Slot::B, v11.release, v11.fd.get(), 3));
  REQUIRE(Held(machine.Boot()) == Slot::B);
  const std::string stem = ReleaseStem("1.1.0", v11.release.root_hash);
  const std::string counted = stem + "+2-1.efi", blessed = stem + ".efi";
  const std::string fat = machine / "esp.fat";

  // Which of the two names the directory has first is the file system's choice.
  const bool counted_first = GENERATE(true, false);
  Run("mkfs.fat -C " + fat + " 16384 >/dev/null && mmd -i " + fat + " ::/EFI ::/EFI/Linux");
  const std::string full = counted_first ? counted : blessed;
  const std::string empty = counted_first ? blessed : counted;
  Run("mcopy -i " + fat + " " + v11.path + " ::/EFI/Linux/" + full);
  Run(": >" + machine / "empty" + " && mcopy -i " + fat + " " + machine / "empty" +
      " ::/EFI/Linux/" + empty);

  std::ifstream in(fat, std::ios::binary);
  std::string image{std::istreambuf_iterator<char>(in), {}};
  const size_t first = FindShortName(image, "HOSTOS~1EFI"),
               second = FindShortName(image, "HOSTOS~2EFI");
  for (size_t field : {20, 26, 28})  // first cluster (high, low) and size
    image.replace(second + field, field == 28 ? 4 : 2,
                  image.substr(first + field, field == 28 ? 4 : 2));
  std::ofstream(fat, std::ios::binary) << image;

  Run("fsck.fat -n " + fat + " 2>&1 | grep -q 'share clusters'");
  Run("fsck.fat -a " + fat + " >/dev/null 2>&1 || test $? = 1");
  Run("fsck.fat -n " + fat);
  fs::remove(machine.LinuxPath(counted));
  Run("mcopy -i " + fat + " '::/EFI/Linux/*' " + machine.LinuxPath(""));
  REQUIRE(machine.Files().size() == 3);

  const BootState state = Held(machine.boot().Read());
  CHECK(state.staying() == Slot::B);
  CHECK(Outcome(machine.boot().MarkGood()) == "ok");
  CHECK(Held(machine.boot().Read()).next() == Slot::B);
  CHECK(Held(machine.boot().Read()).booted_entry == blessed);
  REQUIRE(machine.boot().Invalidate(Slot::A));
  CHECK(machine.Files() == std::vector{blessed});
}

TEST_CASE("what fsck.fat salvaged of an image that power cut short takes up no room") {
  const TestImage v10("1.0.0"), rescue("rescue");
  DiskMachine machine(v10);
  const std::string fat = machine / "esp.fat", esp = machine.options().esp;
  Run("mkfs.fat -C " + fat + " 16384 >/dev/null && mmd -i " + fat + " ::/EFI ::/EFI/Linux");
  Run("mcopy -i " + fat + " " + rescue.path + " ::/EFI/Linux/IMAGE.TMP");
  std::ifstream in(fat, std::ios::binary);
  std::string image{std::istreambuf_iterator<char>(in), {}};
  image[FindShortName(image, "IMAGE   TMP")] = '\xe5';  // its clusters have no name any more
  std::ofstream(fat, std::ios::binary) << image;
  Run("fsck.fat -a " + fat + " >/dev/null 2>&1 || test $? = 1");
  Run("mcopy -i " + fat + " ::/FSCK0000.REC " + esp + "/");
  WriteText(esp + "/FSCK.REC", "somebody's");
  WriteText(esp + "/loader/FSCK0001.REC", "somebody's");

  using File = std::pair<std::string, uint64_t>;
  const std::vector<File> unknown = {{"FSCK.REC", 10}, {"loader/FSCK0001.REC", 10}};
  for (int twice = 0; twice < 2; twice++) {
    std::vector<File> found = Held(machine.boot().Read()).esp.unknown;
    std::ranges::sort(found);
    CHECK(found == unknown);
    CHECK(fs::exists(esp + "/FSCK0000.REC") == (twice == 0));
    CHECK(Outcome(machine.boot().RemoveTemporaries()) == "ok");
  }
  CHECK(fs::exists(esp + "/FSCK.REC"));
  CHECK(machine.Files().size() == 1);
}

TEST_CASE("a FAT directory keeps the names the loader and HostOS give") {
  const TestImage v10("1.0.0");
  DiskMachine machine(v10);
  const std::string fat = machine / "esp.fat";
  Run("mkfs.fat -F 32 -C " + fat + " 65536 >/dev/null");
  Run("mcopy -s -i " + fat + " " + machine.options().esp + "/EFI ::/");
  const std::string stem = ReleaseStem("1.0.0", v10.release.root_hash);
  Run("mren -i " + fat + " ::/EFI/Linux/" + stem + ".efi '" + stem + "+2-1.efi'");
  const std::string test = "hostos-selftest+2.conf";
  WriteText(machine / test, "version 1.0.0^selftest\nefi /EFI/Linux/" + stem + "+2-1.efi\n");
  Run("mmd -i " + fat + " ::/loader ::/loader/entries");
  Run("mcopy -i " + fat + " " + machine / test + " ::/loader/entries/");
  Run("mren -i " + fat + " ::/loader/entries/" + test + " hostos-selftest+1-1.conf");
  fs::remove_all(machine.options().esp);
  Run("mkdir " + machine.options().esp + " && mcopy -s -i " + fat + " ::/EFI ::/loader " +
      machine.options().esp + "/");
  const BootState state = Held(machine.boot().Read());
  CHECK(state.booted_entry == stem + "+2-1.efi");
  CHECK(state.on_trial());
  CHECK(state.next() == Slot::A);
  CHECK(state.selftest == std::vector{std::string("loader/entries/hostos-selftest+1-1.conf")});
}

}  // namespace
}  // namespace hostos

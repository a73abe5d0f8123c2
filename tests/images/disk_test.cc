#include "images/disk.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bootctl/entry_name.h"
#include "bootctl/gpt.h"
#include "images/program.h"
#include "tests/images/small_release.h"
#include "tests/shell.h"
#include "updater/release/commit.h"
#include "updater/source/archive.h"

using namespace hostos;

namespace {

namespace fs = std::filesystem;

DiskOptions SmallDisk(const SmallRelease& small) {
  return {.output = small / "disk.raw",
          .format = DiskFormat::kRaw,
          .definitions = REPART_DEFINITIONS,
          .rescue = "",
          .esp_size = 64 << 20,
          .slot_size = 64 << 20,
          .verity_size = 8 << 20,
          .state_size = 64 << 20};
}

Result<DiskImage> Make(const SmallRelease& small, const DiskOptions& options) {
  NoProgress progress;
  return MakeDisk(small.Query(), options, progress);
}

std::string Output(const std::vector<std::string>& words) {
  const auto output = RunProgram(words);
  if (!output) FAIL(output.error().message);
  return *output;
}

std::string Extract(const std::string& disk, uint64_t offset, uint64_t size,
                    const std::string& output) {
  std::ifstream from(disk, std::ios::binary);
  from.seekg(static_cast<std::streamoff>(offset));
  std::string bytes(size, '\0');
  from.read(bytes.data(), static_cast<std::streamsize>(size));
  REQUIRE(from);
  WriteText(output, bytes);
  return output;
}

// "9abc..." of 32 digits as sfdisk spells a UUID.
std::string UuidText(std::string hex) {
  for (size_t at : {20, 16, 12, 8}) hex.insert(at, 1, '-');
  for (char& c : hex) c = static_cast<char>(::toupper(c));
  return hex;
}

}  // namespace

TEST_CASE("a disk has the slots, the boot entry and the state a node expects") {
  const SmallRelease small;
  const auto release = small.Commit();
  REQUIRE(release);
  const DiskOptions options = SmallDisk(small);
  const auto disk = Make(small, options);
  REQUIRE(disk);

  const auto table = nlohmann::json::parse(Output({"sfdisk", "--json", options.output}));
  const auto& rows = table["partitiontable"]["partitions"];
  const std::string root_hash = release->root_hash.Hex();
  const struct {
    const char* name;
    const char* type;
    uint64_t size;
    std::string uuid;
  } expected[] = {
      {"hostos-esp", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", 64 << 20, ""},
      {"hostos_1.0.0", "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", 64 << 20, root_hash.substr(0, 32)},
      {"hostos_1.0.0", "2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5", 8 << 20, root_hash.substr(32)},
      {"_empty", "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", 64 << 20, ""},
      {"_empty", "2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5", 8 << 20, ""},
      {"hostos-state", "4D21B016-B534-45C2-A9FB-5C16E091FD2D", 64 << 20, ""},
  };
  REQUIRE(rows.size() == std::size(expected));
  for (size_t i = 0; i < rows.size(); i++) {
    CHECK(rows[i]["name"] == expected[i].name);
    CHECK(rows[i]["type"] == expected[i].type);
    CHECK(rows[i]["size"].get<uint64_t>() * 512 == expected[i].size);
    if (!expected[i].uuid.empty()) CHECK(rows[i]["uuid"] == UuidText(expected[i].uuid));
  }

  auto partition = [&](size_t i, uint64_t size) {
    return Extract(options.output, disk->partitions[i].offset, size,
                   small / std::format("partition-{}", i));
  };
  // The slot: its image to the byte, and its hash tree.
  const std::string image = partition(1, release->image_size);
  const std::string verity = partition(2, release->verity_size);
  Output({"fsck.erofs", image});
  Output({"veritysetup", "verify", image, verity, root_hash});

  // The ESP.
  const std::string esp = partition(0, disk->partitions[0].size);
  Output({"fsck.fat", "-n", esp});
  CHECK(Output({"minfo", "-i", esp, "::"}).contains("sector size: 512 bytes"));  // of the disk
  const std::string entry = ReleaseStem("1.0.0", release->root_hash) + ".efi";
  CHECK(Output({"mdir", "-b", "-/", "-i", esp, "::"}).contains("::/EFI/Linux/" + entry));
  Output({"mcopy", "-i", esp, "::/EFI/Linux/" + entry, small / "uki"});
  CHECK(Sha256::Of(AsBytes(ReadText(small / "uki"))) == release->uki_digest);
  for (const char* loader : {"BOOT/BOOTX64.EFI", "systemd/systemd-bootx64.efi"}) {
    Output({"mcopy", "-o", "-i", esp, std::string("::/EFI/") + loader, small / "loader"});
    CHECK(SameFiles(small / "loader", "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"));
  }
  CHECK(Output({"mtype", "-i", esp, "::/loader/loader.conf"}) == "timeout 0\neditor no\n");

  // The state: the commit, as the repository has it.
  const std::string state = partition(5, disk->partitions[5].size);
  Output({"e2fsck", "-fn", state});
  for (const char* extension : {"commit", "commitmeta"}) {
    Output({"debugfs", "-R",
            std::format("dump /lib/hostos/commits/{}.{} {}", release->commit.Hex(), extension,
                        small / "kept"),
            state});
    CHECK(SameFiles(small / "kept", small / "repo/" + ObjectPath(release->commit, extension)));
  }
}

TEST_CASE(
    "a disk with sectors of 4096 bytes has the same partitions, and a node can change its slots") {
  const SmallRelease small;
  const auto release = small.Commit();
  REQUIRE(release);
  DiskOptions options = SmallDisk(small);
  options.sector_size = 4096;
  // With as many bytes it has an eighth of the clusters, and firmware would take it for FAT16.
  const auto too_small = Make(small, options);
  REQUIRE_FALSE(too_small);
  CHECK(too_small.error().code == Code::kNoSpace);
  CHECK(too_small.error().message.contains("--esp-size 261M"));
  options.esp_size = 261 << 20;
  const auto disk = Make(small, options);
  REQUIRE(disk);
  CHECK(Extract(options.output, 4096, 8, small / "header").size() > 0);
  CHECK(ReadText(small / "header") == "EFI PART");

  const PartitionTable table = *ReadPartitionTable(options.output);
  CHECK(RootHashOf(table.slot(Slot::A)) == release->root_hash);
  CHECK(table.slot(Slot::B).data.size == 64 << 20);
  CHECK(disk->partitions[0].offset % 4096 == 0);
  const std::string image =
      Extract(options.output, disk->partitions[1].offset, release->image_size, small / "image");
  Output({"fsck.erofs", image});
  const std::string esp =
      Extract(options.output, disk->partitions[0].offset, disk->partitions[0].size, small / "esp");
  CHECK_FALSE(Output({"sh", "-c", "fsck.fat -n \"$1\" 2>&1", "sh", esp}).contains("Warning"));
  CHECK(Output({"minfo", "-i", esp, "::"}).contains("sector size: 4096 bytes"));
  CHECK(Output({"mdir", "-b", "-i", esp, "::/EFI/Linux"})
            .contains(ReleaseStem("1.0.0", release->root_hash)));

  const SlotIdentity identity = SlotIdentity::OfRelease(*release);
  const auto set = SetSlotIdentity(options.output, Slot::B, identity);
  INFO((set ? "" : set.error().message));
  REQUIRE(set);
  CHECK(IdentityOf(ReadPartitionTable(options.output)->slot(Slot::B)) == identity);
}

TEST_CASE("the same release gives the same disk, byte for byte, raw or qcow2") {
  const SmallRelease small;
  REQUIRE(small.Commit());
  DiskOptions options = SmallDisk(small);
  REQUIRE(Make(small, options));
  options.output = small / "again.raw";
  REQUIRE(Make(small, options));
  CHECK(SameFiles(small / "disk.raw", small / "again.raw"));
  options.output = small / "disk.qcow2";
  options.format = DiskFormat::kQcow2;
  REQUIRE(Make(small, options));
  Output({"qemu-img", "compare", "-f", "raw", "-F", "qcow2", small / "disk.raw",
          small / "disk.qcow2"});
}

TEST_CASE("a disk has the rescue that its release brings, or the one that was given") {
  const SmallRelease small;
  small.BringRescue();
  const std::string brought = small / "brought.efi";
  WriteText(brought, ReadText(small.MakeRescue()));
  const auto release = small.Commit();
  REQUIRE(release);
  DiskOptions options = SmallDisk(small);
  for (const bool given : {false, true}) {
    if (given) {
      WriteText(small / "initrd", "another");
      options.rescue = small.MakeRescue();
    }
    const std::string& rescue = given ? options.rescue : brought;
    const auto disk = Make(small, options);
    REQUIRE(disk);
    const std::string esp = Extract(options.output, disk->partitions[0].offset,
                                    disk->partitions[0].size, small / "esp");
    const std::string file = RescueFile(Sha256::Of(AsBytes(ReadText(rescue))));
    const std::string files = Output({"mdir", "-b", "-i", esp, "::/EFI/Linux"});
    CHECK(files.contains("/" + ReleaseStem("1.0.0", release->root_hash) + ".efi\n"));
    CHECK(files.contains("/" + file + "\n"));
    CHECK(std::ranges::count(files, '\n') == 2);
    Output({"mcopy", "-o", "-i", esp, "::/EFI/Linux/" + file, small / "copy"});
    CHECK(SameFiles(small / "copy", rescue));
  }
  options.output = small / "again.raw";
  REQUIRE(Make(small, options));
  CHECK(SameFiles(small / "disk.raw", small / "again.raw"));
}

TEST_CASE("a disk takes nothing but a rescue for its rescue") {
  const SmallRelease small;
  CommitOptions commit = small.Options();
  commit.uki_out = small / "hostos.efi";
  REQUIRE(small.Commit(commit));
  DiskOptions options = SmallDisk(small);
  for (const char* file : {"hostos.efi", "initrd"}) {
    options.rescue = small / file;
    const auto refused = Make(small, options);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::kNotTrusted);
    CHECK_FALSE(fs::exists(options.output));
  }
}

TEST_CASE("a disk without room for the release is refused, and nothing is written") {
  const SmallRelease small;
  REQUIRE(small.Commit());
  DiskOptions options = SmallDisk(small);
  options.slot_size = 1 << 20;
  const auto small_slot = Make(small, options);
  REQUIRE_FALSE(small_slot);
  CHECK(small_slot.error().code == Code::kNoSpace);
  options = SmallDisk(small);
  options.verity_size = 4096;
  const auto small_tree = Make(small, options);
  REQUIRE_FALSE(small_tree);
  CHECK(small_tree.error().code == Code::kNoSpace);
  CHECK(FilesEndingIn(small / ".", ".raw").empty());
  for (const fs::directory_entry& entry : fs::directory_iterator(small / "."))
    CHECK_FALSE(entry.path().filename().string().starts_with("disk.raw"));
}

TEST_CASE("a disk is not made of a release that does not verify") {
  const SmallRelease small;
  const SmallRelease other;
  const auto release = small.Commit();
  REQUIRE(release);
  ReleaseQuery query = small.Query();
  query.keys = {other / "keys"};
  NoProgress progress;
  const auto untrusted = MakeDisk(query, SmallDisk(small), progress);
  REQUIRE_FALSE(untrusted);
  CHECK(untrusted.error().code == Code::kNotTrusted);

  const std::vector<std::string> objects = FilesEndingIn(small / "repo/objects", ".filez");
  ChangeByte(objects[0], -1);
  const auto changed = Make(small, SmallDisk(small));
  REQUIRE_FALSE(changed);
  CHECK_FALSE(fs::exists(small / "disk.raw"));
}

TEST_CASE("partition definitions in which a node would not find its slots are refused") {
  const SmallRelease small;
  REQUIRE(small.Commit());
  DiskOptions options = SmallDisk(small);
  options.definitions = small / "definitions";
  auto check_refused = [&](const std::string& message) {
    const auto disk = Make(small, options);
    REQUIRE_FALSE(disk);
    INFO(disk.error().message);
    CHECK(disk.error().message.contains(message));
    CHECK_FALSE(fs::exists(options.output));
    fs::remove_all(options.definitions);
    fs::copy(REPART_DEFINITIONS, options.definitions);
  };
  fs::copy(REPART_DEFINITIONS, options.definitions);
  WriteText(options.definitions + "/31-root-b-verity.conf", "[Partition]\nType=linux-generic\n");
  check_refused("definitions: ");
  WriteText(options.definitions + "/50-more.conf", "[Partition]\nType=linux-generic\n");
  check_refused("expected the last partition to be hostos-state");
  fs::rename(options.definitions + "/20-root-a.conf", options.definitions + "/35-root.conf");
  WriteText(options.definitions + "/20-root-a.conf", "[Partition]\nType=linux-generic\n");
  check_refused("in the first slot");
  WriteText(options.definitions + "/30-root-b.conf", "[Partition]\nType=root\nLabel=spare\n");
  check_refused("labelled _empty, found spare");
}

TEST_CASE("hostimage disk has its definitions from the build tree and from where it is installed") {
  const SmallRelease small;
  REQUIRE(small.Commit());
  const std::string prefix = small / "prefix", program = prefix + "/bin/hostimage";
  Output({"cmake", "--install", HOSTOS_BUILD_DIR, "--component", "hostimage", "--prefix", prefix});
  for (const char* page : {"man/man1/hostimage.1", "bash-completion/completions/hostimage"})
    CHECK(fs::file_size(prefix + "/share/" + page) > 0);
  for (const char* file : {"image.toml", "rootfs/packages", "rootfs/build.d/base.sh"})
    CHECK(fs::file_size(prefix + "/share/hostimage/" + file) > 0);
  CHECK(Run(prefix + "/share/hostimage/rootfs/build base-key").size() == 17);
  // The state takes the size that the definitions say.
  const std::vector<std::string> disk = {"disk",          ReleaseRef("x86-64", "1.0.0"),
                                         "--repo",        small / "repo",
                                         "--keys",        small / "keys",
                                         "--esp-size",    "64M",
                                         "--slot-size",   "64M",
                                         "--verity-size", "8M",
                                         "--output"};
  const auto make = [&](const std::string& hostimage, const std::string& output) {
    std::vector<std::string> words = disk;
    words.insert(words.begin(), hostimage);
    words.push_back(output);
    return RunProgram(words);
  };
  for (const std::string& hostimage : {std::string(HOSTIMAGE), program}) {
    const auto made = make(hostimage, small / "disk.raw");
    INFO((made ? *made : made.error().message));
    REQUIRE(made);
    CHECK(made->contains("hostos-state         var                 4295.0 MB"));
  }
  // A program alone says what it lacks.
  fs::remove_all(prefix + "/share");
  fs::remove(small / "disk.raw");
  const auto alone = make(program, small / "disk.raw");
  REQUIRE_FALSE(alone);
  CHECK(alone.error().message.contains(prefix + "/share/hostimage/repart.d: expected"));
  CHECK_FALSE(fs::exists(small / "disk.raw"));
}

TEST_CASE("an empty or wrong directory of definitions is named before anything is made") {
  const SmallRelease small;  // of which there is no release yet
  DiskOptions options = SmallDisk(small);
  options.definitions = small / "definitions";
  for (const bool there : {false, true}) {
    if (there) fs::create_directory(options.definitions);
    const auto disk = Make(small, options);
    REQUIRE_FALSE(disk);
    CHECK(disk.error().code == Code::kUsage);
    CHECK(disk.error().message.starts_with(options.definitions + ": expected the definitions"));
  }
  fs::copy(REPART_DEFINITIONS, options.definitions);
  fs::remove(options.definitions + "/30-root-b.conf");
  const auto lacking = Make(small, options);
  REQUIRE_FALSE(lacking);
  CHECK(lacking.error().message.contains("found no 30-root-b.conf"));
}

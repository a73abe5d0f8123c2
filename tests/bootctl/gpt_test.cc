#include "bootctl/gpt.h"

#include <algorithm>
#include <catch2/generators/catch_generators.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/bootctl/disk_machine.h"
#include "tests/bootctl/outcome.h"

namespace hostos {
namespace {

using nlohmann::json;

json Sfdisk(const std::string& disk) {
  return json::parse(Run("sfdisk --json " + disk))["partitiontable"];
}

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(c));
  return text;
}

std::string Bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Overwrite(const std::string& path, size_t at, const std::string& bytes) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(at));
  file << bytes;
}

const TestImage& Running() {
  static const TestImage image("1.0.0");
  return image;
}

TEST_CASE("slots are found by type and order, and a slot spells its root hash") {
  DiskMachine machine(Running());
  const PartitionTable table = Held(ReadPartitionTable(machine.disk()));
  CHECK(table.architecture == "x86-64");
  CHECK(table.esp.number == 1);
  CHECK(table.esp.label == "hostos-esp");
  const SlotPartitions &a = table.slot(Slot::A), &b = table.slot(Slot::B);
  CHECK(a.data.number == 2);
  CHECK(a.verity.number == 3);
  CHECK(b.data.number == 4);
  CHECK(b.verity.number == 5);
  CHECK(a.data.device == machine.disk() + "2");
  CHECK(a.data.size == 2 << 20);
  CHECK(a.verity.size == 1 << 20);
  CHECK(RootHashOf(a) == Running().release.root_hash);
  CHECK(RootHashOf(b) == std::nullopt);
  CHECK(IdentityOf(b).empty());
}

TEST_CASE("only the identity of one slot changes, in both copies of the table") {
  DiskMachine machine(Running());
  const TestImage image("1.1.0");
  json expected = Sfdisk(machine.disk());
  const std::string before = Bytes(machine.disk());
  const SlotIdentity identity = SlotIdentity::OfRelease(image.release);
  CHECK(Outcome(SetSlotIdentity(machine.disk(), Slot::B, identity)) == "ok");

  const std::string hash = image.release.root_hash.Hex();
  json found = Sfdisk(machine.disk());
  CHECK(Lower(found["partitions"][3]["uuid"]).substr(0, 8) == hash.substr(0, 8));
  for (auto [index, uuid] : {std::pair(3, identity.data), std::pair(4, identity.verity)}) {
    json& partition = expected["partitions"][static_cast<size_t>(index)];
    partition["uuid"] = found["partitions"][static_cast<size_t>(index)]["uuid"];
    CHECK(Lower(partition["uuid"]) == ToString(uuid));
    partition["name"] = "hostos_1.1.0";
  }
  CHECK(found == expected);
  CHECK(Run("sfdisk --verify " + machine.disk() + " 2>&1").contains("No errors detected"));

  // Byte by byte: two entries and the CRCs of each copy, nothing else.
  const std::string after = Bytes(machine.disk());
  REQUIRE(after.size() == before.size());
  const size_t backup_entries = after.size() - 33 * 512, backup_header = after.size() - 512;
  std::set<std::string> changed;
  for (size_t i = 0; i < after.size(); i++) {
    if (after[i] == before[i]) continue;
    auto within = [&](size_t start, size_t size) { return i >= start && i < start + size; };
    if (within(512 + 16, 4) || within(512 + 88, 4))
      changed.insert("primary header");
    else if (within(1024 + 3 * 128, 256))
      changed.insert("primary entries");
    else if (within(backup_header + 16, 4) || within(backup_header + 88, 4))
      changed.insert("backup header");
    else if (within(backup_entries + 3 * 128, 256))
      changed.insert("backup entries");
    else
      FAIL("byte " << i << " changed");
  }
  CHECK(changed.size() == 4);
}

TEST_CASE(
    "a disk's own UUIDs are those of the disk and of what is no slot's, and nothing else changes") {
  DiskMachine machine(Running());
  json expected = Sfdisk(machine.disk());
  CHECK(Outcome(SetOwnUuids(machine.disk())) == "ok");
  const json found = Sfdisk(machine.disk());
  CHECK(Lower(expected["partitions"][0]["uuid"]) == ToString(kImageEsp));
  std::set<std::string> own;
  const auto changed = [&](json& before, const json& after, const char* key) {
    CHECK(before[key] != after[key]);
    own.insert(before[key] = after[key]);
  };
  changed(expected, found, "id");
  for (const size_t partition : {0, 5})
    changed(expected["partitions"][partition], found["partitions"][partition], "uuid");
  CHECK(own.size() == 3);
  CHECK(found == expected);
  CHECK(Run("sfdisk --verify " + machine.disk() + " 2>&1").contains("No errors detected"));
}

TEST_CASE("an emptied slot has random identity that spells nothing") {
  DiskMachine machine(Running());
  const SlotIdentity first = SlotIdentity::Empty(), second = SlotIdentity::Empty();
  CHECK(first.empty());
  CHECK(first.data != first.verity);
  CHECK(first.data != second.data);
  CHECK(ToString(first.data)[14] == '4');
  CHECK(Outcome(SetSlotIdentity(machine.disk(), Slot::A, first)) == "ok");
  const PartitionTable table = Held(ReadPartitionTable(machine.disk()));
  CHECK(IdentityOf(table.slot(Slot::A)) == first);
  CHECK(RootHashOf(table.slot(Slot::A)) == std::nullopt);
}

TEST_CASE("a table with one torn copy is read from the other and repaired by a write") {
  DiskMachine machine(Running());
  const TestImage image("1.1.0");
  const SlotIdentity identity = SlotIdentity::OfRelease(image.release);
  const size_t size = Bytes(machine.disk()).size();
  const size_t header = GENERATE_COPY(size_t{512}, size - 512);
  const bool entries = GENERATE(false, true);
  const size_t at = !entries ? header : header == 512 ? 1024 : size - 33 * 512;
  Overwrite(machine.disk(), at, "torn");

  const PartitionTable table = Held(ReadPartitionTable(machine.disk()));
  CHECK(RootHashOf(table.slot(Slot::A)) == Running().release.root_hash);
  CHECK(Outcome(SetSlotIdentity(machine.disk(), Slot::B, identity)) == "ok");
  CHECK(Run("sfdisk --verify " + machine.disk() + " 2>&1").contains("No errors detected"));
  CHECK(IdentityOf(Held(ReadPartitionTable(machine.disk())).slot(Slot::B)) == identity);
}

TEST_CASE("on a disk that grew the backup copy moves to its end, and no partition does") {
  DiskMachine machine(Running());
  const json before = Sfdisk(machine.disk())["partitions"];
  Run("truncate -s 16M " + machine.disk());
  const TestImage image("1.1.0");
  const SlotIdentity identity = SlotIdentity::OfRelease(image.release);
  CHECK(Outcome(SetSlotIdentity(machine.disk(), Slot::B, identity)) == "ok");
  CHECK(Bytes(machine.disk()).substr((16 << 20) - 512, 8) == "EFI PART");
  CHECK(Run("sfdisk --verify " + machine.disk() + " 2>&1").contains("No errors detected"));
  const json after = Sfdisk(machine.disk())["partitions"];
  REQUIRE(after.size() == before.size());
  for (size_t i = 0; i < after.size(); i++)
    for (const char* key : {"start", "size", "type"}) CHECK(after[i][key] == before[i][key]);
}

TEST_CASE("a table that is not HostOS's is refused with what was expected and found") {
  TempDir directory;
  const std::string disk = directory / "disk.img";
  auto refusal = [&](const std::string& layout) {
    WriteText(directory / "layout", layout);
    Run("rm -f " + disk + " && truncate -s 12M " + disk);
    if (!layout.empty()) Run("sfdisk -q " + disk + " <" + directory / "layout");
    return Outcome(ReadPartitionTable(disk));
  };
  const std::string esp = "size=1MiB, type=uefi\n";
  const std::string root = "size=1MiB, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709\n";
  const std::string verity = "size=1MiB, type=2c7357ed-ebd2-46d9-aec1-23d437ec2bf5\n";
  const std::string arm_root = "size=1MiB, type=b921b045-1df0-41c3-af44-4c6f280d3fae\n";
  const std::string arm_verity = "size=1MiB, type=df3300ce-d69f-4c92-978c-9bfb0f38d820\n";
  const std::string boot = "size=1MiB, type=bc13c2ff-59e6-4262-a352-b275fd6f7172\n";
  const std::string gpt = "label: gpt\n", slots = root + verity + root + verity;
  CHECK(refusal("").contains("expected a GUID partition table"));
  CHECK(refusal("label: dos\nsize=1MiB\n").contains("expected a GUID partition table"));
  CHECK(refusal(gpt + slots).contains("expected one EFI system partition, found 0"));
  CHECK(refusal(gpt + esp + esp + slots).contains("expected one EFI system partition, found 2"));
  CHECK(refusal(gpt + esp + root + verity).contains("found 1 and 1 of x86-64"));
  CHECK(refusal(gpt + esp + slots + root).contains("found 3 and 2 of x86-64"));
  CHECK(refusal(gpt + esp + slots + arm_root).contains("of one architecture"));
  CHECK(refusal(gpt + esp).contains("no root partitions"));
  CHECK(refusal(gpt + esp + slots + boot).contains("XBOOTLDR"));
  CHECK(refusal(gpt + esp + slots) == "ok");
  CHECK(refusal(gpt + esp + arm_root + arm_verity + arm_root + arm_verity) == "ok");
  CHECK(Held(ReadPartitionTable(disk)).architecture == "arm64");
  CHECK(CodeOf(ReadPartitionTable(directory / "none")) == Code::kNotFound);
}

// Valid in every checksum; libfdisk would allocate and read what the header claims.
TEST_CASE("a header that claims gigabytes of entries is refused before they are read") {
  DiskMachine machine(Running());
  const size_t last = Bytes(machine.disk()).size() / 512 - 1;
  const size_t sector = GENERATE_COPY(size_t{1}, last);
  std::string header = Bytes(machine.disk()).substr(sector * 512, 92);
  header.replace(80, 4, std::string("\0\0\0\x40", 4));
  header.replace(16, 4, std::string(4, '\0'));
  WriteText(machine.disk() + ".header", header);
  const std::string crc =
      Run("python3 -c 'import sys, zlib; print(zlib.crc32(open(sys.argv[1], \"rb\").read()))' " +
          machine.disk() + ".header");
  const uint32_t value = static_cast<uint32_t>(std::stoul(crc));
  header.replace(16, 4, reinterpret_cast<const char*>(&value), 4);
  Overwrite(machine.disk(), sector * 512, header);
  CHECK(Outcome(ReadPartitionTable(machine.disk()))
            .contains(std::format("sector {} claims 137438953472 bytes of entries", sector)));
}

}  // namespace
}  // namespace hostos

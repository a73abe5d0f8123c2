#include "bootctl/gpt.h"

#include <libfdisk/libfdisk.h>
#include <linux/fs.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "bootctl/little_endian.h"
#include "updater/base/file_lock.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

using Context =
    std::unique_ptr<fdisk_context, decltype([](fdisk_context* c) { fdisk_unref_context(c); })>;
using PartitionRef =
    std::unique_ptr<fdisk_partition,
                    decltype([](fdisk_partition* p) { fdisk_unref_partition(p); })>;
using CString = std::unique_ptr<char, decltype([](char* s) { std::free(s); })>;

constexpr char kEmptyLabel[] = "_empty";
constexpr Seconds kProbeTime{60};  // for udev to finish probing the disk

// Discoverable Partitions Specification (UAPI.2).
constexpr char kEsp[] = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
constexpr char kVar[] = "4d21b016-b534-45c2-a9fb-5c16e091fd2d";
constexpr char kXbootldr[] = "bc13c2ff-59e6-4262-a352-b275fd6f7172";
struct RootTypes {
  const char* architecture;
  const char* data;
  const char* verity;
};
constexpr RootTypes kRootTypes[] = {
    {"x86-64", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"},
    {"arm64", "b921b045-1df0-41c3-af44-4c6f280d3fae", "df3300ce-d69f-4c92-978c-9bfb0f38d820"},
};

// Everything the table says about one partition.
struct Row {
  size_t number = 0;
  std::string type, label, attributes;
  Uuid uuid{};
  uint64_t start = 0, sectors = 0;
  bool operator==(const Row&) const = default;
};

// CRC-32 as GPT uses it: reflected, polynomial 0x04c11db7.
uint32_t Crc32(std::span<const std::byte> bytes) {
  uint32_t crc = ~0u;
  for (std::byte byte : bytes) {
    crc ^= std::to_integer<uint32_t>(byte);
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

// One copy of the table's header whose CRC holds.
struct Header {
  uint64_t other = 0;    // sector of the other copy
  uint64_t entries = 0;  // first sector of the entries
  uint64_t size = 0;     // bytes of entries
  uint32_t crc = 0;      // of the entries
};

// Layout from the UEFI specification, "GPT Header": size at 12, CRC at 16, sector of the other copy
// at 32; sector of the entries at 72, their number at 80, their size at 84 and their CRC at 88.
// Absent when there is no valid header. Fails for more entries than any tool writes, because
// libfdisk would allocate as many as the header claims.
Result<std::optional<Header>> ReadHeader(int fd, uint64_t sector_size, uint64_t sector) {
  constexpr size_t kLeast = 92;
  constexpr uint64_t kMostEntries = 1 << 20;
  std::vector<std::byte> bytes(sector_size);
  if (sector > INT64_MAX / sector_size) return std::nullopt;
  const size_t got = TRY(PreadFull(fd, bytes, sector * sector_size));
  if (got < bytes.size() || std::memcmp(bytes.data(), "EFI PART", 8) != 0) return std::nullopt;
  const size_t length = LittleEndian<uint32_t>(&bytes[12]);
  const uint32_t crc = LittleEndian<uint32_t>(&bytes[16]);
  std::fill_n(&bytes[16], sizeof crc, std::byte{0});
  if (length < kLeast || length > bytes.size() || Crc32(std::span(bytes).first(length)) != crc)
    return std::nullopt;
  const Header header{
      LittleEndian<uint64_t>(&bytes[32]), LittleEndian<uint64_t>(&bytes[72]),
      uint64_t{LittleEndian<uint32_t>(&bytes[80])} * LittleEndian<uint32_t>(&bytes[84]),
      LittleEndian<uint32_t>(&bytes[88])};
  if (header.size > kMostEntries)
    return Fail(Code::kFailed, "the GPT header in sector {} claims {} bytes of entries", sector,
                header.size);
  return header;
}

// One copy of the table whose two CRCs hold. libfdisk does not report a torn copy: it silently uses
// the other one.
struct Copy {
  uint64_t other = 0;  // sector of the other copy's header
  std::vector<std::byte> entries;
};

Result<Copy> ReadCopy(int fd, uint64_t sector_size, uint64_t sector) {
  const std::optional<Header> header = TRY(ReadHeader(fd, sector_size, sector));
  if (!header) return Fail(Code::kFailed, "no valid GPT header in sector {}", sector);
  Copy copy{header->other, std::vector<std::byte>(header->size)};
  if (TRY(PreadFull(fd, copy.entries, header->entries * sector_size)) < header->size ||
      Crc32(copy.entries) != header->crc)
    return Fail(Code::kFailed, "the entries of the GPT header in sector {} are damaged", sector);
  return copy;
}

// For a device, what the kernel says; for an image, the size that puts a header into sector 1.
Result<unsigned> SectorSize(int fd) {
  constexpr unsigned kUsual = 512, kLarge = 4096;
  struct stat status;
  if (::fstat(fd, &status) < 0) return FailErrno("fstat");
  int size = kUsual;
  if (S_ISBLK(status.st_mode)) {
    if (::ioctl(fd, BLKSSZGET, &size) < 0) return FailErrno("BLKSSZGET");
  } else if (!TRY(ReadHeader(fd, kUsual, 1)) && TRY(ReadHeader(fd, kLarge, 1))) {
    size = kLarge;
  }
  return static_cast<unsigned>(size);
}

// Checks that every header libfdisk would read claims a sane number of entries.
Result<> CheckHeaders(int fd, uint64_t size) {
  const off_t end = ::lseek(fd, 0, SEEK_END);
  if (end < static_cast<off_t>(size)) return {};
  TRY(ReadHeader(fd, size, static_cast<uint64_t>(end) / size - 1));
  if (const std::optional<Header> primary = TRY(ReadHeader(fd, size, 1)))
    TRY(ReadHeader(fd, size, primary->other));
  return {};
}

// A disk with the partition table libfdisk found on it. Destroyed in this order: context, then
// descriptor.
struct Disk {
  std::string path;
  UniqueFd fd;
  Context context;
};

Result<Disk> OpenDisk(const std::string& path, int flags) {
  UniqueFd fd = TRY(Open(path, flags));
  const unsigned sector_size = TRY_CONTEXT(path, SectorSize(fd.get()));
  TRY_CONTEXT(path, CheckHeaders(fd.get(), sector_size));
  Disk disk{path, std::move(fd), Context(fdisk_new_context())};
  if (!disk.context) return FailErrno(path, ENOMEM);
  fdisk_disable_dialogs(disk.context.get(), 1);
  if (int error = fdisk_save_user_sector_size(disk.context.get(), sector_size, sector_size))
    return FailErrno(path + ": sector size", -error);
  const bool readonly = (flags & O_ACCMODE) == O_RDONLY;
  if (int error =
          fdisk_assign_device_by_fd(disk.context.get(), disk.fd.get(), path.c_str(), readonly))
    return FailErrno(path + ": read the partition table", -error);
  if (!fdisk_is_label(disk.context.get(), GPT))
    return Fail(Code::kFailed, "{}: expected a GUID partition table, found none that is valid",
                path);
  return disk;
}

std::string OrEmpty(const char* text) {
  return text ? text : "";
}

Result<Uuid> ParseUuid(const std::string& text) {
  std::string hex;
  for (char c : text)
    if (c != '-') hex += c >= 'A' && c <= 'F' ? static_cast<char>(c + 'a' - 'A') : c;
  // Parsed as a digest, padded: a UUID is half of one.
  const Digest digest = TRY(Digest::FromHex(hex + std::string(32, '0')));
  Uuid uuid;
  std::copy_n(digest.bytes.begin(), uuid.size(), uuid.begin());
  return uuid;
}

Result<std::vector<Row>> ReadRows(const Disk& disk) {
  std::vector<Row> rows;
  fdisk_context* context = disk.context.get();
  for (size_t i = 0; i < fdisk_get_npartitions(context); i++) {
    if (!fdisk_is_partition_used(context, i)) continue;
    fdisk_partition* raw = nullptr;
    if (int error = fdisk_get_partition(context, i, &raw))
      return FailErrno(std::format("{}: read partition {}", disk.path, i + 1), -error);
    PartitionRef partition(raw);
    Row row;
    row.number = i + 1;
    row.type = OrEmpty(fdisk_parttype_get_string(fdisk_partition_get_type(raw)));
    row.uuid = TRY_CONTEXT(disk.path, ParseUuid(OrEmpty(fdisk_partition_get_uuid(raw))));
    row.label = OrEmpty(fdisk_partition_get_name(raw));
    row.attributes = OrEmpty(fdisk_partition_get_attrs(raw));
    row.start = fdisk_partition_get_start(raw);
    row.sectors = fdisk_partition_get_size(raw);
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<Partition> ToPartition(const Disk& disk, const Row& row) {
  Partition partition;
  partition.number = row.number;
  partition.device = OrEmpty(CString(fdisk_partname(disk.path.c_str(), row.number)).get());
  partition.label = row.label;
  partition.uuid = row.uuid;
  const uint64_t sector_size = fdisk_get_sector_size(disk.context.get());
  partition.offset = row.start * sector_size;
  partition.size = row.sectors * sector_size;
  return partition;
}

// The partitions of a type, ordered by number.
Result<std::vector<Partition>> OfType(const Disk& disk, const std::vector<Row>& rows,
                                      const char* type) {
  std::vector<Partition> found;
  for (const Row& row : rows)
    if (::strcasecmp(row.type.c_str(), type) == 0) found.push_back(TRY(ToPartition(disk, row)));
  return found;
}

Result<PartitionTable> Interpret(const Disk& disk, const std::vector<Row>& rows) {
  PartitionTable table;
  const auto esp = TRY(OfType(disk, rows, kEsp));
  if (esp.size() != 1)
    return Fail(Code::kNotSupported, "{}: expected one EFI system partition, found {}", disk.path,
                esp.size());
  table.esp = esp[0];
  if (auto state = TRY(OfType(disk, rows, kVar)); state.size() == 1) table.state = state[0];
  if (!TRY(OfType(disk, rows, kXbootldr)).empty())
    return Fail(Code::kNotSupported,
                "{}: has an XBOOTLDR partition, whose entries would boot beside HostOS's",
                disk.path);
  for (const RootTypes& types : kRootTypes) {
    const auto data = TRY(OfType(disk, rows, types.data));
    const auto verity = TRY(OfType(disk, rows, types.verity));
    if (data.empty() && verity.empty()) continue;
    if (data.size() != 2 || verity.size() != 2 || !table.architecture.empty())
      return Fail(Code::kNotSupported,
                  "{}: expected two root and two root verity partitions of one architecture, found "
                  "{} and {} of {}",
                  disk.path, data.size(), verity.size(), types.architecture);
    table.architecture = types.architecture;
    for (int i = 0; i < 2; i++) table.slots[i] = {data[i], verity[i]};
  }
  if (table.architecture.empty())
    return Fail(Code::kNotSupported, "{}: has no root partitions of x86-64 or arm64", disk.path);
  return table;
}

Result<> SetIdentity(const Disk& disk, Row& row, const Uuid& uuid, const std::string& label) {
  PartitionRef change(fdisk_new_partition());
  if (!change) return FailErrno(disk.path, ENOMEM);
  int error = fdisk_partition_set_uuid(change.get(), ToString(uuid).c_str());
  if (!error) error = fdisk_partition_set_name(change.get(), label.c_str());
  if (!error) error = fdisk_set_partition(disk.context.get(), row.number - 1, change.get());
  if (error)
    return FailErrno(std::format("{}: change partition {}", disk.path, row.number), -error);
  row.uuid = uuid;
  row.label = label;
  return {};
}

// Compares what the medium returns with what was to be written.
Result<> ReadBack(const std::string& path, const std::vector<Row>& expected) {
  {
    UniqueFd fd = TRY(Open(path, O_RDONLY));
    if (int error = ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED))
      return FailErrno(path + ": fadvise", error);
  }
  Disk disk = TRY(OpenDisk(path, O_RDONLY));
  const uint64_t sector_size = fdisk_get_sector_size(disk.context.get());
  const Copy primary = TRY(ReadCopy(disk.fd.get(), sector_size, 1));
  const Copy backup = TRY(ReadCopy(disk.fd.get(), sector_size, primary.other));
  if (primary.entries != backup.entries || TRY(ReadRows(disk)) != expected)
    return Fail(Code::kFailed, "the entries are not those that were written");
  return {};
}

// Lets `change` edit the table and `rows`, writes both copies, and reads them back.
Result<> Rewrite(const std::string& path,
                 const std::function<Result<>(const Disk&, std::vector<Row>& rows)>& change) {
  std::vector<Row> rows;
  {
    Disk disk = TRY(OpenDisk(path, O_RDWR | O_SYNC));
    // This lock keeps udev from probing a half-written table. Closing the descriptor releases it
    // and makes udev look again (systemd, "Locking Block Device Access").
    if (!TRY_CONTEXT(path, LockWithin(disk.fd.get(), kProbeTime)))
      return Fail(Code::kFailed, "{}: another process holds the lock of the disk; lslocks names it",
                  path);
    rows = TRY(ReadRows(disk));
    TRY(change(disk, rows));
    if (int error = fdisk_write_disklabel(disk.context.get()))
      return FailErrno(path + ": write the partition table", -error);
    if (::fsync(disk.fd.get()) < 0) return FailErrno(path + ": fsync");
    disk.context.reset();
    TRY_CONTEXT(path, disk.fd.Close());
  }
  TRY_CONTEXT(path + ": partition table, read back", ReadBack(path, rows));
  return {};
}

Uuid RandomUuid() {
  Uuid uuid;
  if (::getrandom(uuid.data(), uuid.size(), 0) != static_cast<ssize_t>(uuid.size()))
    std::abort();  // cannot be short for so few bytes, nor fail once the kernel is up
  uuid[6] = (uuid[6] & 0x0f) | 0x40;  // RFC 9562: version 4, variant 10
  uuid[8] = (uuid[8] & 0x3f) | 0x80;
  return uuid;
}

}  // namespace

std::string ToString(const Uuid& uuid) {
  std::string text = Hex(uuid);
  for (size_t at : {8, 13, 18, 23}) text.insert(at, "-");
  return text;
}

SlotIdentity SlotIdentity::OfRelease(const Release& release) {
  SlotIdentity identity;
  const auto& hash = release.root_hash.bytes;
  std::copy_n(hash.begin(), 16, identity.data.begin());
  std::copy_n(hash.begin() + 16, 16, identity.verity.begin());
  identity.label = "hostos_" + release.version;
  return identity;
}

SlotIdentity SlotIdentity::Empty() {
  return {RandomUuid(), RandomUuid(), kEmptyLabel};
}

bool SlotIdentity::empty() const {
  return label == kEmptyLabel;
}

SlotIdentity IdentityOf(const SlotPartitions& slot) {
  const bool agree = slot.data.label == slot.verity.label;
  return {slot.data.uuid, slot.verity.uuid, agree ? slot.data.label : ""};
}

std::optional<Digest> RootHashOf(const SlotPartitions& slot) {
  if (slot.data.label == kEmptyLabel || slot.verity.label == kEmptyLabel) return std::nullopt;
  Digest digest;
  std::ranges::copy(slot.data.uuid, digest.bytes.begin());
  std::ranges::copy(slot.verity.uuid, digest.bytes.begin() + 16);
  return digest;
}

Result<PartitionTable> ReadPartitionTable(const std::string& path) {
  Disk disk = TRY(OpenDisk(path, O_RDONLY));
  return Interpret(disk, TRY(ReadRows(disk)));
}

Result<> SetSlotIdentity(const std::string& path, Slot slot, const SlotIdentity& identity) {
  return Rewrite(path, [&](const Disk& disk, std::vector<Row>& rows) -> Result<> {
    const SlotPartitions target = TRY(Interpret(disk, rows)).slot(slot);
    for (Row& row : rows) {
      if (row.number == target.data.number)
        TRY(SetIdentity(disk, row, identity.data, identity.label));
      if (row.number == target.verity.number)
        TRY(SetIdentity(disk, row, identity.verity, identity.label));
    }
    return {};
  });
}

Result<> SetOwnUuids(const std::string& path) {
  return Rewrite(path, [&](const Disk& disk, std::vector<Row>& rows) -> Result<> {
    const PartitionTable table = TRY(Interpret(disk, rows));
    for (Row& row : rows) {
      const bool of_slot = std::ranges::any_of(table.slots, [&](const SlotPartitions& slot) {
        return row.number == slot.data.number || row.number == slot.verity.number;
      });
      if (!of_slot) TRY(SetIdentity(disk, row, RandomUuid(), row.label));
    }
    const std::string own = ToString(RandomUuid());
    if (int error = fdisk_set_disklabel_id_from_string(disk.context.get(), own.c_str()))
      return FailErrno(disk.path + ": change the disk's UUID", -error);
    return {};
  });
}

}  // namespace hostos

// The partition table of the whole disk (GPT, Discoverable Partitions Specification): where the ESP
// and the two slots are, and which root hash a slot's partitions spell. Only identity is ever
// changed, that is UUIDs and names. Types, extents and attributes of every partition stay.
//
// Why a power cut in the middle is safe: a GPT has two copies, each a header and an array of
// entries under CRC-32. libfdisk writes the backup array, the backup header, the primary array and
// the primary header, in this order. Its descriptor is O_SYNC, so each is on the medium before the
// next begins. Whatever is torn, one copy is whole: the primary (old) while the backup is written,
// the backup (new) while the primary is written. UEFI firmware uses the valid copy and repairs the
// other before anything boots; libfdisk and libblkid also use the valid one. Linux by itself reads
// the backup only with "gpt" on its command line, which covers firmware that does not repair.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "updater/base/release.h"
#include "updater/base/result.h"

namespace hostos {

// Bytes in the order of the text form.
using Uuid = std::array<uint8_t, 16>;

// The ESP's UUID in every disk image. A node replaces it with its own.
inline constexpr Uuid kImageEsp = {0xdd, 0xfb, 0x45, 0x6a, 0xd7, 0x32, 0x42, 0x57,
                                   0x8d, 0xb3, 0xaf, 0x8a, 0x2b, 0x58, 0x1a, 0xf8};

struct Partition {
  size_t number = 0;   // from 1
  std::string device;  // the disk's name with the number, as the kernel forms it: "/dev/vda2"
  std::string label;   // GPT partition name
  Uuid uuid{};
  uint64_t offset = 0, size = 0;  // bytes
};

struct SlotPartitions {
  Partition data;
  Partition verity;
};

struct PartitionTable {
  std::string architecture;  // "x86-64" or "arm64", by the type of the root partitions
  Partition esp;
  SlotPartitions slots[2];         // [0] is A
  std::optional<Partition> state;  // absent unless there is exactly one

  const SlotPartitions& slot(Slot s) const { return slots[static_cast<int>(s)]; }
};

// What the two partitions of a slot say they hold.
struct SlotIdentity {
  Uuid data{};
  Uuid verity{};
  std::string label;

  // "hostos_<version>"; the UUIDs are the two halves of the root hash, as
  // systemd-veritysetup-generator expects.
  static SlotIdentity OfRelease(const Release& release);
  // Random UUIDs and "_empty".
  static SlotIdentity Empty();

  bool empty() const;
  bool operator==(const SlotIdentity&) const = default;
};

// The label is empty when the two partitions disagree about it.
SlotIdentity IdentityOf(const SlotPartitions& slot);
// The root hash that the two UUIDs spell; absent when either partition is labelled "_empty".
std::optional<Digest> RootHashOf(const SlotPartitions& slot);

// Uuid in its text form, lower case.
std::string ToString(const Uuid& uuid);

// `disk` is a block device or an image file. Fails unless there are exactly one ESP, two root and
// two root verity partitions of one architecture, and no XBOOTLDR, because its entries would boot
// too.
Result<PartitionTable> ReadPartitionTable(const std::string& disk);

// Changes one slot's identity in both copies of the table and checks it through a fresh open.
// Partitions may be in use: the kernel keeps its view of the extents, and those do not change.
Result<> SetSlotIdentity(const std::string& disk, Slot slot, const SlotIdentity& identity);

// Does the same for everything but the slots: random UUIDs for the disk, its ESP and its other
// partitions.
Result<> SetOwnUuids(const std::string& disk);

}  // namespace hostos

// The first blocks of a disk, with valid checksums, so that the parser reads what they protect.
#include "bootctl/gpt.h"

#include <cstring>

#include "tests/fuzz/fuzz.h"

using namespace hostos;

namespace {

constexpr size_t kBlock = 512, kHeader = kBlock, kHeaderSize = 92;
constexpr size_t kTable = 2 * kBlock, kEntries = 128, kEntrySize = 128;
constexpr size_t kDisk = 1 << 20;

// CRC-32 as in UEFI 2.10, 5.3.1.
uint32_t Crc(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320 & (0 - (crc & 1)));
  }
  return ~crc;
}

}  // namespace

FUZZ(gpt, input) {
  std::string disk(input.substr(0, kTable + kEntries * kEntrySize));
  disk.resize(kDisk);
  const auto put = [&](size_t at, uint32_t value) { std::memcpy(&disk[at], &value, sizeof value); };
  put(kHeader + 88, Crc(std::string_view(disk).substr(kTable, kEntries * kEntrySize)));
  put(kHeader + 16, 0);
  put(kHeader + 16, Crc(std::string_view(disk).substr(kHeader, kHeaderSize)));
  const MemoryFile file(disk);
  const Result<PartitionTable> table = ReadPartitionTable(file.path());
  if (!table) return;
  PROMISE(table->esp.size <= kDisk);
  (void)RootHashOf(table->slots[0]);
}

#include "tests/powercut/write_log.h"

#include <endian.h>
#include <sys/stat.h>

#include <algorithm>

namespace hostos {
namespace {

constexpr uint64_t kMagic = 0x6a736677736872;
constexpr uint64_t kVersion = 1;
enum : uint64_t { kFlush = 1, kDiscard = 4, kMark = 8 };

// struct log_write_super, at the beginning of the file.
struct Super {
  uint64_t magic;
  uint64_t version;
  uint64_t entries;
  uint32_t sector_size;
} __attribute__((packed));

// struct log_write_entry: one sector of the log, with its data in the sectors after it.
struct Entry {
  uint64_t sector;
  uint64_t sectors;
  uint64_t flags;
  uint64_t data_length;
} __attribute__((packed));

template <class Record>
Result<Record> ReadRecord(int fd, uint64_t offset) {
  Record record;
  const size_t read = TRY(PreadFull(fd, std::as_writable_bytes(std::span(&record, 1)), offset));
  if (read != sizeof record) return Fail(Code::kFailed, "the log ends at byte {}", offset);
  return record;
}

}  // namespace

Result<WriteLog> WriteLog::Open(const std::string& path) {
  WriteLog log;
  log.fd_ = TRY(hostos::Open(path, O_RDONLY));
  const Super super = TRY_CONTEXT(path, ReadRecord<Super>(log.fd_.get(), 0));
  const uint64_t sector_size = le32toh(super.sector_size), entries = le64toh(super.entries);
  if (le64toh(super.magic) != kMagic || le64toh(super.version) != kVersion || sector_size < 512)
    return Fail(Code::kFailed, "{}: expected a log of writes, version {}", path, kVersion);
  struct stat status;
  if (::fstat(log.fd_.get(), &status) < 0) return FailErrno(path);
  const auto size = static_cast<uint64_t>(status.st_size);

  uint64_t at = sector_size;
  for (uint64_t number = 0; number < entries; number++) {
    const Entry entry = TRY_CONTEXT(std::format("{}: entry {}", path, number),
                                    ReadRecord<Entry>(log.fd_.get(), at));
    const uint64_t flags = le64toh(entry.flags), length = le64toh(entry.sectors) * sector_size;
    const bool discard = flags & kDiscard, mark = flags & kMark;
    at += sector_size;
    if (!mark)
      log.writes_.push_back({.offset = le64toh(entry.sector) * sector_size,
                             .length = length,
                             .data = at,
                             .flush = (flags & kFlush) != 0,
                             .discard = discard});
    if (mark)
      at += (le64toh(entry.data_length) + sector_size - 1) / sector_size * sector_size;
    else if (!discard)
      at += length;
    if (at > size)
      return Fail(Code::kFailed, "{}: entry {} of {} ends at byte {}, the file at {}", path, number,
                  entries, at, size);
  }
  return log;
}

Result<> WriteLog::Read(const LoggedWrite& write, std::span<std::byte> data) const {
  if (write.discard) {
    std::ranges::fill(data, std::byte{0});
    return {};
  }
  const size_t read = TRY(PreadFull(fd_.get(), data, write.data));
  if (read != data.size()) return Fail(Code::kFailed, "the log ends within a write");
  return {};
}

}  // namespace hostos

// What of a disk decides which release boots, as files that logged writes are applied to and taken
// back from: the partition table, the ESP, and which writes have reached the slots.
#pragma once

#include <string>
#include <vector>

#include "tests/powercut/write_log.h"

namespace hostos {

struct Extent {
  uint64_t begin = 0, end = 0;  // bytes
  bool Contains(const LoggedWrite& write) const {
    return write.offset >= begin && write.offset + write.length <= end;
  }
};

class DiskCopy {
 public:
  // Of the raw image of a disk, in `directory`.
  static Result<DiskCopy> Make(const std::string& image, const std::string& directory,
                               const WriteLog& log);

  const std::string& table() const { return table_; }  // a sparse file as long as the disk
  const std::string& esp() const { return esp_; }

  // Where a write goes.
  enum class Place { kTable, kEsp, kSlotA, kSlotB, kState, kAcross };
  Place PlaceOf(const LoggedWrite& write) const;

  // Applies the first bytes of a write.
  Result<> Apply(const LoggedWrite& write, uint64_t bytes);

  // Remembers what is overwritten from here on; Undo() goes back to it.
  void Mark() { marked_ = true; }
  Result<> Undo();

 private:
  struct Overwritten {
    int fd;
    uint64_t offset;
    std::vector<std::byte> bytes;
  };

  const WriteLog* log_ = nullptr;
  std::string table_, esp_;
  UniqueFd table_fd_, esp_fd_;
  Extent esp_extent_, slots_[2], state_;
  bool marked_ = false;
  std::vector<Overwritten> overwritten_;
};

}  // namespace hostos

// The log that QEMU's blklogwrites driver keeps of a disk: every write in the order in which it
// reached the disk, with its data, and every flush. That a write is FUA is not kept: to lose it all
// the same is one state more than a disk may leave. Format: the kernel's
// Documentation/admin-guide/device-mapper/log-writes.rst and drivers/md/dm-log-writes.c; QEMU's
// block/blklogwrites.c. All numbers are little-endian.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/base/unique_fd.h"

namespace hostos {

struct LoggedWrite {
  uint64_t offset = 0;   // on the disk, in bytes
  uint64_t length = 0;   // in bytes; 0 for a mere flush
  uint64_t data = 0;     // in the log file; a discard has none
  bool flush = false;    // all writes before this one are on the medium, once it is
  bool discard = false;  // the range reads as zeros from now on
};

class WriteLog {
 public:
  // kFailed, with the entry's number, when the file is no such log or ends within an entry.
  static Result<WriteLog> Open(const std::string& path);

  const std::vector<LoggedWrite>& writes() const { return writes_; }
  // The first bytes of a write; zeros for a discard.
  Result<> Read(const LoggedWrite& write, std::span<std::byte> data) const;

 private:
  UniqueFd fd_;
  std::vector<LoggedWrite> writes_;
};

}  // namespace hostos

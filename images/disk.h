// From a signed release to a disk that boots it: GPT by systemd-repart, the release sealed into
// slot A, slot B empty, systemd-boot and one blessed entry on the ESP, with the rescue after it if
// there is one, and on the state partition the commit, so that the machine can prove what it runs
// from its first day.
//
// The partitions are data: repart.d(5) definitions that take their content from /esp, /state,
// /root.erofs and /root.verity. What the release decides (labels, UUIDs) and sizes given on the
// command line are put over them as drop-ins. The same release gives the same disk, byte for byte.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "images/signed_release.h"
#include "updater/base/progress.h"

namespace hostos {

enum class DiskFormat { kRaw, kQcow2 };

struct DiskOptions {
  std::string output;
  DiskFormat format = DiskFormat::kRaw;
  std::string definitions;     // a directory of repart.d files; empty: those of this program
  std::string rescue;          // unified kernel image; empty: what the release brings, if it does
  uint64_t sector_size = 512;  // bytes, of the disk that it is for: 512 or 4096
  // Bytes; absent: what the definitions say.
  std::optional<uint64_t> esp_size, slot_size, verity_size, state_size;
};

// One row of the partition table.
struct DiskPartition {
  std::string label;
  std::string type;  // as systemd-repart names it
  std::string uuid;
  uint64_t offset = 0;  // bytes
  uint64_t size = 0;    // bytes
};

struct DiskImage {
  Release release;
  std::vector<DiskPartition> partitions;  // in the order of the table
};

// `options.output` is written whole or not at all; an existing file is replaced at the end.
Result<DiskImage> MakeDisk(const ReleaseQuery& query, const DiskOptions& options,
                           Progress& progress);

}  // namespace hostos

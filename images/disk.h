// Makes a disk that boots a signed release. systemd-repart makes the GPT; slot A gets the sealed
// release, slot B stays empty; the ESP gets systemd-boot, one blessed entry, and after it the
// rescue, if there is one. The state partition gets the commit, so that the machine can prove from
// its first day what it runs.
//
// The partitions are data: repart.d(5) definitions that take their content from /esp, /state,
// /root.erofs and /root.verity. Drop-ins override them with what the release decides (labels,
// UUIDs) and with sizes from the command line. The same release gives the same disk, byte for byte,
// unless it has credentials, which are encrypted, if only with an empty key.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "images/signed_release.h"
#include "updater/base/progress.h"

namespace hostos {

enum class DiskFormat { kRaw, kQcow2 };

// "raw" or "qcow2".
std::optional<DiskFormat> FormatNamed(std::string_view name);

// systemd system credentials: the content of each by its name.
using Credentials = std::map<std::string, std::string>;

struct DiskOptions {
  std::string output;
  DiskFormat format = DiskFormat::kRaw;
  std::string definitions;     // a directory of repart.d files; empty: this program's
  std::string rescue;          // unified kernel image; empty: the release's own, if any
  uint64_t sector_size = 512;  // bytes, of the target disk: 512 or 4096
  // Bytes; absent: as the definitions say.
  std::optional<uint64_t> esp_size, slot_size, verity_size, state_size;
  // For whoever starts from this disk; on its ESP, where anybody can read and change them.
  Credentials credentials = {};
};

// One row of the partition table.
struct DiskPartition {
  std::string label;
  std::string type;  // systemd-repart's name for it
  std::string uuid;
  uint64_t offset = 0;  // bytes
  uint64_t size = 0;    // bytes
};

struct DiskImage {
  Release release;
  std::vector<DiskPartition> partitions;  // in the order of the table
};

// Writes `options.output` as a whole or not at all; an existing file is replaced at the end.
Result<DiskImage> MakeDisk(const ReleaseQuery& query, const DiskOptions& options,
                           Progress& progress);

}  // namespace hostos

// Finds the partitions the running system is on: from the device under "/", through sysfs, to the
// two partitions of its dm-verity device. Relies on evidence only and guesses nothing.
#pragma once

#include <sys/types.h>

#include <string>

#include "updater/base/result.h"

namespace hostos {

// A partition as sysfs knows it.
struct PartitionNode {
  std::string disk;   // kernel name of the whole disk: "vda"
  size_t number = 0;  // from 1
  bool operator==(const PartitionNode&) const = default;
};

// The two partitions, in no particular order, of the dm-verity device that `root` is on.
// kNotSupported when `root` is on anything else.
struct VerityNodes {
  PartitionNode first, second;
};
Result<VerityNodes> FindRunningRoot(const std::string& root, const std::string& sys);

// The partition that a file system is on; kNotSupported when it is on none.
Result<PartitionNode> FindPartition(dev_t device, const std::string& sys);

}  // namespace hostos

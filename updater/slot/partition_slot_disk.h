// SlotDisk on the partitions that BootControl names, or on regular files that stand in for them.
// Refuses to write the running slot.
#pragma once

#include "bootctl/boot_control.h"
#include "updater/slot/slot_disk.h"

namespace hostos {

class PartitionSlotDisk : public SlotDisk {
 public:
  // `boot` must outlive this.
  explicit PartitionSlotDisk(BootControl& boot) : boot_(boot) {}

  Result<uint64_t> Write(Slot slot, const Release& release, int image, Progress& progress) override;
  Result<> Prove(Slot slot, const Release& release, Progress& progress) override;

 private:
  BootControl& boot_;
};

}  // namespace hostos

// The engine's world below one directory, for the tests and programs that work on a FileNode. All
// of it is real but the machine: health, power and the boot's id are files.
#pragma once

#include "bootctl/systemd_boot.h"
#include "tests/fakes/fake_black_box.h"
#include "updater/engine/world.h"
#include "updater/slot/partition_slot_disk.h"
#include "updater/source/ostree_source.h"

namespace hostos {

class FileWorld : private Health, private Power {
 public:
  // Everything is read when it is asked for; `directory` is a FileNode's.
  explicit FileWorld(const std::string& directory);
  FileWorld(const FileWorld&) = delete;
  FileWorld& operator=(const FileWorld&) = delete;

  World world{source_, disk_, boot_, *this, *this, clock_, black_box_, floor_, state_};

 private:
  // Healthy unless there is a file "unhealthy"; it says why.
  std::vector<CheckResult> Round(Milliseconds limit) override;
  // Leaves a file "reboot".
  Result<> Reboot() override;
  // What the file "boot-id" says.
  Result<std::string> BootId() override;

  const std::string directory_;
  OstreeSource source_;
  SystemdBoot boot_;
  PartitionSlotDisk disk_{boot_};
  SystemClock clock_;
  FakeBlackBox black_box_;
  FileFloor floor_;
  StateDir state_;
};

}  // namespace hostos

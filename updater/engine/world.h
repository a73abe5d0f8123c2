// Everything outside the engine, as one value built in main: the seams at which tests put fakes.
#pragma once

#include <functional>

#include "bootctl/boot_control.h"
#include "updater/base/clock.h"
#include "updater/base/sbom_path.h"
#include "updater/engine/black_box.h"
#include "updater/engine/power.h"
#include "updater/engine/rollback_floor.h"
#include "updater/engine/state_dir.h"
#include "updater/health/health.h"
#include "updater/health/metering.h"
#include "updater/slot/slot_disk.h"
#include "updater/source/source.h"

namespace hostos {

struct World {
  Source& source;
  SlotDisk& disk;
  BootControl& boot;
  Health& health;
  Power& power;
  Clock& clock;
  BlackBox& black_box;
  RollbackFloor& floor;
  StateDir& state;  // record, kept commits, /etc uppers, lock: files below one injected path
  // Paths inside the running release.
  std::string rescue_file = std::string(kRescuePath);
  std::string changes_file = kChangesPath;
  std::string boot_loaders = "/usr/lib/systemd/boot/efi";
  std::string os_release = "/usr/lib/os-release";
  std::function<Metering()> metering = [] { return AskMetering(); };
};

}  // namespace hostos

// A whole machine in memory: loader, slots, release server, containerd's health and power are
// fakes, with the real engine and real state files between them. It boots, updates, loses power and
// falls back. Every boot checks the promises: what runs is a complete root, and the node is still
// itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/fakes/fake_black_box.h"
#include "tests/fakes/fake_boot_control.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_slot_disk.h"
#include "tests/fakes/fake_source.h"
#include "tests/no_progress.h"
#include "tests/temp_dir.h"
#include "updater/engine/gate.h"
#include "updater/engine/probation.h"
#include "updater/engine/rollback.h"
#include "updater/engine/selftest.h"
#include "updater/engine/status.h"
#include "updater/engine/update.h"

namespace hostos {

// Thrown by a fake in the middle of a durable step: the machine stops there.
struct PowerCut {};

class Machine : private Health, private Power {
 public:
  // Runs 1.0.0 from slot A, as installed with the disk. 1.1.0 is the channel's newest release.
  Machine();

  // Cuts power at the `number`th durable step from now, counted from 1.
  void CutPowerAt(int number) { cut_in_ = number; }
  // Durable steps since the machine was made.
  int steps() const { return steps_; }

  // The verbs. After a PowerCut in one, the machine is off until Boot().
  Result<UpdatePlan> Update(const UpdateOptions& options = {});
  Result<bool> Recount() { return hostos::Recount(world, config); }
  Result<ProbationResult> WatchProbation() { return hostos::WatchProbation(world, config); }
  Result<> BeginSelfTest() { return hostos::BeginSelfTest(world); }
  Result<ReleaseId> Rollback() { return hostos::Rollback(world, "asked by the operator"); }
  // Powers on or reboots and runs the gate, as often as the gate asks for a reboot. Returns the
  // version that runs in the end. Checks for every boot that it is of a complete root with this
  // node's /etc.
  std::string Boot();
  Status ReadStatus() { return hostos::ReadStatus(world).value(); }
  std::string running();
  // The upper of its /etc for that release.
  std::string Etc(const std::string& version);
  int boots() const { return boots_; }
  // What the last boot's gate could not do, without effect on its decision.
  std::vector<std::string> gate_problems;

  // Versions whose health gate fails, and the reason.
  std::map<std::string, std::string> unhealthy;
  // Called before each round of checks.
  std::function<void()> before_round = [] {};
  // Checks that fail whatever runs, in addition.
  std::vector<CheckResult> always;
  // Makes the initrd find no space for an upper.
  bool no_room_for_etc = false;
  // From the last gate: why it did not replace the rescue on the ESP; "" if nothing is wrong.
  std::string rescue_problem;
  // Makes the kernel or initrd of a version fail before any of HostOS's code runs.
  void BreakRoot(const std::string& version);

  TempDir dir;
  FakeClock clock;
  FakeSource source;
  FakeBootControl boot;
  FakeSlotDisk disk;
  FakeBlackBox black_box;
  FileFloor floor{dir / "state/floor"};
  StateDir state;
  Config config;
  World world;

 private:
  static FakeSource Server(std::function<void(const char*)> step);
  void Step(const char* name);
  // What the initrd does with the uppers (rootfs/dracut/90hostos/prepare-etc).
  void StartEtc();
  // Whether a test damaged it: nobody else replaces the directory of the uppers.
  bool EtcIsDamaged() const;
  std::vector<CheckResult> Round(Milliseconds limit) override;
  Result<> Reboot() override;
  Result<std::string> BootId() override { return "boot-" + std::to_string(boots_); }

  int steps_ = 0;
  int cut_in_ = 0;
  bool reboot_asked_ = false;
  std::string last_etc_;  // the upper mounted last
  UniqueFd etc_;          // the directory of the uppers, as created

 protected:
  int boots_ = 1;
};

}  // namespace hostos

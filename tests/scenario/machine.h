// A whole machine in memory: loader, slots, release server, containerd's health, power; with the
// real engine and the real state files in between. Boots, updates, loses power, falls back; and
// after every boot checks the promises: what runs is a complete root, and the node is still itself.
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
#include "updater/engine/selftest.h"
#include "updater/engine/status.h"
#include "updater/engine/update.h"

namespace hostos {

// Thrown by a fake in the middle of a durable step: the machine stops there.
struct PowerCut {};

class Machine : private Health, private Power {
 public:
  // Runs 1.0.0 from slot A, installed with the disk. 1.1.0 is the channel's newest release.
  Machine();

  // Cuts power at the `number`th durable step from now, from 1.
  void CutPowerAt(int number) { cut_in_ = number; }
  // Durable steps since the machine was made.
  int steps() const { return steps_; }

  // The verbs. With PowerCut inside, the machine is off until Boot().
  Result<UpdatePlan> Update(const UpdateOptions& options = {});
  Result<bool> Recount() { return hostos::Recount(world, config); }
  Result<ProbationResult> WatchProbation() { return hostos::WatchProbation(world, config); }
  Result<> BeginSelfTest() { return hostos::BeginSelfTest(world); }
  Result<ReleaseId> Rollback() { return hostos::Rollback(world, "asked by the operator"); }
  // Power on or reboot, then the gate; as often as the gate asks for a reboot. Returns the version
  // that runs in the end. Every boot is checked to be of a complete root, with this node's /etc.
  std::string Boot();
  Status ReadStatus() { return hostos::ReadStatus(world).value(); }
  std::string running();
  // The upper of its /etc, as an upper of that release.
  std::string Etc(const std::string& version);
  int boots() const { return boots_; }
  // What the gate of the last boot could not do, and that decided nothing.
  std::vector<std::string> gate_problems;

  // Versions whose health gate fails, and with what reason.
  std::map<std::string, std::string> unhealthy;
  // Called before each round of checks.
  std::function<void()> before_round = [] {};
  // Checks that fail whatever runs, beside these.
  std::vector<CheckResult> always;
  // The initrd finds no room for an upper.
  bool no_room_for_etc = false;
  // Of the last gate: why the rescue on the ESP was not replaced; "" when nothing is wrong.
  std::string rescue_problem;
  // Versions whose kernel or initrd never gets as far as our code.
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
  // What the initrd makes of the uppers (rootfs/dracut/90hostos/prepare-etc).
  void StartEtc();
  // By a test: nobody else replaces the directory of the uppers.
  bool EtcIsDamaged() const;
  std::vector<CheckResult> Round(Milliseconds limit) override;
  Result<> Reboot() override;
  Result<std::string> BootId() override { return "boot-" + std::to_string(boots_); }

  int steps_ = 0;
  int cut_in_ = 0;
  bool reboot_asked_ = false;
  std::string last_etc_;  // the upper that was mounted last
  UniqueFd etc_;          // the directory of the uppers, as it was made

 protected:
  int boots_ = 1;
};

}  // namespace hostos

// The engine's world below one directory, for the tests and programs that work on a FileNode. All
// of it is real but the machine: health, power and the boot's id are files. Releases are fetched by
// the program that fetches them on a node, a process of its own.
#pragma once

#include <span>

#include "bootctl/systemd_boot.h"
#include "tests/fakes/fake_black_box.h"
#include "updater/engine/world.h"
#include "updater/fetch/remote_source.h"
#include "updater/hostctl/verbs.h"
#include "updater/slot/partition_slot_disk.h"

namespace hostos {

// As systemd starts one for each hostctl; it ends when its peer is gone.
class FetchProcess {
 public:
  FetchProcess() = default;
  FetchProcess(const FetchProcess&) = delete;
  FetchProcess& operator=(const FetchProcess&) = delete;
  ~FetchProcess() { Wait(); }

  // `state`: the directory where it keeps what it fetched.
  Result<UniqueFd> Start(const std::string& state);

 private:
  void Wait();

  pid_t pid_ = -1;
};

// Stands still, so that equal runs leave equal files; but nobody waits for a pause, and whoever
// slept finds that time has passed.
class HastyClock : public SystemClock {
 public:
  explicit HastyClock(uint64_t now) : now_(now) {}

  uint64_t Now() override { return now_; }
  Milliseconds Monotonic() override { return SystemClock::Monotonic() + slept_; }
  void Sleep(Milliseconds time) override { slept_ += time; }

 private:
  const uint64_t now_;
  Milliseconds slept_{0};
};

class FileWorld : private Health, private Power {
 public:
  // Everything is read when it is asked for; `directory` is a FileNode's. Its disk may be that of a
  // machine that runs the rescue system.
  explicit FileWorld(const std::string& directory, bool rescue = false);
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
  FetchProcess fetch_;  // outlives its peer
  StateDir state_;
  RemoteSource source_;
  SystemdBoot boot_;
  PartitionSlotDisk disk_{boot_};
  HastyClock clock_;  // at what the file "time" says
  FakeBlackBox black_box_;
  FileFloor floor_;
};

// hostctl on the files of a FileNode. With a file "fall-back", its policy is to fall back in the
// probation.
ExitCode RunOnFiles(const std::string& directory, std::span<const char* const> words,
                    Console& console);

}  // namespace hostos

// The engine's World below one directory, for tests and programs that work on a FileNode.
// Everything in it is real except the machine: health, power and the boot id are files. Releases
// are fetched by the same program as on a node, in a separate process.
#pragma once

#include <span>

#include "bootctl/systemd_boot.h"
#include "tests/fakes/fake_black_box.h"
#include "updater/engine/world.h"
#include "updater/fetch/remote_source.h"
#include "updater/hostctl/verbs.h"
#include "updater/slot/partition_slot_disk.h"

namespace hostos {

// One fetching process, as systemd starts one for each hostctl. It ends when its peer is gone.
class FetchProcess {
 public:
  FetchProcess() = default;
  FetchProcess(const FetchProcess&) = delete;
  FetchProcess& operator=(const FetchProcess&) = delete;
  ~FetchProcess() { Wait(); }

  // `state` is the directory where it keeps what it fetched.
  Result<UniqueFd> Start(const std::string& state);

 private:
  void Wait();

  pid_t pid_ = -1;
};

// Wall time stands still, so that equal runs leave equal files. Sleep returns at once, but moves
// the monotonic time on.
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
  // `directory` is a FileNode's; everything is read when it is asked for. With `rescue`, the
  // machine runs the rescue system.
  explicit FileWorld(const std::string& directory, bool rescue = false);
  FileWorld(const FileWorld&) = delete;
  FileWorld& operator=(const FileWorld&) = delete;

  World world{source_, disk_, boot_, *this, *this, clock_, black_box_, floor_, state_};

 private:
  // Healthy unless there is a file "unhealthy", whose text is the reason.
  std::vector<CheckResult> Round(Milliseconds limit) override;
  // Creates a file "reboot".
  Result<> Reboot() override;
  // Reads the file "boot-id".
  Result<std::string> BootId() override;

  const std::string directory_;
  FetchProcess fetch_;  // outlives its peer
  StateDir state_;
  RemoteSource source_;
  SystemdBoot boot_;
  PartitionSlotDisk disk_{boot_};
  HastyClock clock_;  // at the time in the file "time"
  FakeBlackBox black_box_;
  FileFloor floor_;
};

// Runs hostctl on the files of a FileNode. If a file "fall-back" exists, the policy is to fall back
// in the probation.
ExitCode RunOnFiles(const std::string& directory, std::span<const char* const> words,
                    Console& console);

}  // namespace hostos

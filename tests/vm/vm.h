// A QEMU machine that boots a HostOS disk image: OVMF, a disk that is a private overlay on a shared
// base, a serial console, shown in a log file, the guest agent to run commands, and at most one
// server it can reach.
//
// Promise: nothing is waited for without a deadline, and an error that a deadline ends shows the
// last lines of the serial console. The base, and a snapshot it was started from, are never
// changed. QEMU is killed with its owner.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/vm/line_socket.h"
#include "tests/vm/machine.h"
#include "tests/vm/process.h"
#include "updater/base/clock.h"
#include "updater/base/result.h"
#include "updater/base/unique_fd.h"

namespace hostos {

struct VmOptions {
  std::string name;           // of the serial log
  std::string disk;           // qcow2, not changed
  std::string snapshot;       // directory made by Save(), in place of `disk`
  std::string log_directory;  // gets <name>.serial and <name>.qemu
  Rig rig;
  uint16_t server_port = 0;  // 127.0.0.1 port that is 10.0.2.100:8080 in the guest; 0: no network
};

struct GuestResult {
  int exit_code = 0;
  std::string out;
  std::string err;
};

class Vm {
 public:
  static constexpr const char* kServerInGuest = "http://10.0.2.100:8080";

  static Result<std::unique_ptr<Vm>> Start(const VmOptions& options);
  // What a snapshot depends on beside the disk: QEMU's version and the machine's devices. Snapshots
  // with another fingerprint can't be started.
  static Result<std::string> Fingerprint();
  ~Vm();

  // Waits until the guest agent answers in the current boot.
  Result<> WaitAgent(Seconds limit);
  // Runs a program as root in the guest. Any exit code is a success of the harness.
  Result<GuestResult> Run(const std::vector<std::string>& argv, Seconds limit);

  // Starts a program whose output (both streams) arrives here while it runs.
  Result<> Spawn(const std::vector<std::string>& argv);
  // What the spawned program has printed so far.
  const std::string& Output() const { return output_.buffer(); }
  Result<> WaitOutput(const std::string& text, Seconds limit);
  // The spawned program's exit code; absent when the machine rebooted first.
  Result<std::optional<int>> WaitSpawned(Seconds limit);
  Result<> KillSpawned();

  // Waits for something outside of the machine, asked again and again while the machine runs on.
  Result<> WaitUntil(const std::function<bool()>& done, Seconds limit, const std::string& what);

  // How often the machine started, the first time included.
  int Boots() const { return static_cast<int>(boot_offsets_.size()); }
  Result<> WaitBoots(int boots, Seconds limit);
  // The machine's reset button: what the guest had not written is lost.
  Result<> Reset();

  // What the serial console showed in a boot, counted from 1.
  std::string Serial(int boot) const;
  // Types at the serial console.
  Result<> Type(std::string_view text);
  std::string SerialTail(size_t lines = 25) const;

  // Stops the machine for good and leaves its state in `directory`, to be started from.
  Result<> Save(const std::string& directory);

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  explicit Vm(const VmOptions& options) : options_(options) {}

  std::string SerialLog() const { return options_.log_directory + "/" + options_.name + ".serial"; }
  std::string QemuLog() const { return options_.log_directory + "/" + options_.name + ".qemu"; }
  Result<> MakeFiles();
  Result<> Launch();
  Result<> Restore();
  // Moves the machine's state into or out of a file, and waits for it.
  Result<> Migrate(const std::string& command, const std::string& directory);
  // Takes what QEMU says until `done` holds. `what` names it when the deadline comes first.
  Result<> Await(const std::function<bool()>& done, Deadline deadline, const std::string& what);
  // Takes what QEMU says until something arrives or the deadline is there.
  Result<> Pump(Deadline deadline);
  // Lets the machine go on for a moment; a failure when the deadline has passed.
  Result<> Pause(Deadline deadline, const std::string& what);
  Result<> Dispatch();
  void OnEvent(const nlohmann::json& event);
  Result<nlohmann::json> Qmp(const std::string& command, nlohmann::json arguments = {});
  Result<nlohmann::json> Agent(const std::string& command, nlohmann::json arguments = {});
  Result<int64_t> Exec(const std::vector<std::string>& argv);
  // The status of a program when it has ended; absent when the machine rebooted first.
  Result<std::optional<nlohmann::json>> WaitExit(int64_t pid, Seconds limit,
                                                 const std::string& what);

  const VmOptions options_;
  std::string directory_;
  UniqueFd console_;
  LineSocket qmp_, agent_, output_;
  Process qemu_;
  std::vector<size_t> boot_offsets_ = {0};  // in the serial log
  std::optional<nlohmann::json> qmp_reply_, agent_reply_;
  bool agent_open_ = false;    // the guest has the agent's port open
  bool agent_synced_ = false;  // and what it says is an answer to us
  std::string migration_;      // the last status QEMU reported
  int64_t next_id_ = 1;
  int64_t spawned_ = 0;
};

}  // namespace hostos

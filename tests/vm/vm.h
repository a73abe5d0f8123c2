// A QEMU machine that boots a HostOS disk image: OVMF, a disk that is a private overlay on a shared
// base, a serial console that goes to a log file, the guest agent to run commands, and at most one
// server it can reach.
//
// It waits for nothing without a deadline; when a deadline passes, the error shows the last lines
// of the serial console. The base, and a snapshot it started from, never change. QEMU is killed
// with its owner.
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
  std::string disk;           // qcow2, unchanged
  std::string snapshot;       // directory that Save() made, used instead of `disk`
  std::string log_directory;  // gets <name>.serial and <name>.qemu
  Rig rig;
  uint16_t server_port = 0;  // port on 127.0.0.1, in the guest 10.0.2.100:8080; 0: no network
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
  // What a snapshot depends on besides the disk: QEMU's version and the machine's devices. A
  // snapshot with another fingerprint cannot be started.
  static Result<std::string> Fingerprint();
  ~Vm();

  // Waits until the guest agent answers in the current boot.
  Result<> WaitAgent(Seconds limit);
  // Runs a program as root in the guest. For the harness, any exit code is a success.
  Result<GuestResult> Run(const std::vector<std::string>& argv, Seconds limit);

  // Starts a program whose output (both streams) arrives here while it runs.
  Result<> Spawn(const std::vector<std::string>& argv);
  // The spawned program's output so far.
  const std::string& Output() const { return output_.buffer(); }
  Result<> WaitOutput(const std::string& text, Seconds limit);
  // The spawned program's exit code; absent when the machine rebooted first.
  Result<std::optional<int>> WaitSpawned(Seconds limit);
  Result<> KillSpawned();

  // Polls for something outside the machine while the machine runs on.
  Result<> WaitUntil(const std::function<bool()>& done, Seconds limit, const std::string& what);

  // How often the machine has started, the first time included.
  int Boots() const { return static_cast<int>(boot_offsets_.size()); }
  Result<> WaitBoots(int boots, Seconds limit);
  // Presses the machine's reset button: what the guest had not written is lost.
  Result<> Reset();

  // What the serial console showed in a boot, counted from 1.
  std::string Serial(int boot) const;
  // Types at the serial console.
  Result<> Type(std::string_view text);
  std::string SerialTail(size_t lines = 25) const;

  // Stops the machine for good, and saves its state in `directory`, for later starts.
  Result<> Save(const std::string& directory);

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  explicit Vm(const VmOptions& options) : options_(options) {}

  std::string SerialLog() const { return options_.log_directory + "/" + options_.name + ".serial"; }
  std::string QemuLog() const { return options_.log_directory + "/" + options_.name + ".qemu"; }
  Result<> MakeFiles();
  Result<> Launch();
  Result<> Restore();
  // Moves the machine's state into or out of a file, and waits until it is done.
  Result<> Migrate(const std::string& command, const std::string& directory);
  // Handles QEMU's messages until `done` holds. `what` names it if the deadline comes first.
  Result<> Await(const std::function<bool()>& done, Deadline deadline, const std::string& what);
  // Handles QEMU's messages until something arrives or the deadline comes.
  Result<> Pump(Deadline deadline);
  // Lets the machine run for a moment; fails when the deadline has passed.
  Result<> Pause(Deadline deadline, const std::string& what);
  Result<> Dispatch();
  void OnEvent(const nlohmann::json& event);
  Result<nlohmann::json> Qmp(const std::string& command, nlohmann::json arguments = {});
  Result<nlohmann::json> Agent(const std::string& command, nlohmann::json arguments = {});
  Result<int64_t> Exec(const std::vector<std::string>& argv);
  // A program's status once it has ended; absent when the machine rebooted first.
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
  bool agent_synced_ = false;  // and its messages answer this process
  std::string migration_;      // the last status QEMU reported
  int64_t next_id_ = 1;
  int64_t spawned_ = 0;
};

}  // namespace hostos

#include "tests/vm/vm.h"

#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <format>

#include "tests/torture.h"
#include "updater/base/digest.h"

namespace hostos {
namespace {

using nlohmann::json;
using Steady = std::chrono::steady_clock;

// For one answer of QEMU or the agent. When the machine goes down, systemd gives an agent that does
// not stop 90 s.
constexpr Seconds kReplyLimit{150};
constexpr Seconds kMigrationLimit{120};
// For what has no event: the agent reports a program's end only when asked.
constexpr Milliseconds kPollInterval{100};
constexpr const char* kOutputPort = "/dev/virtio-ports/hostos.output";
constexpr const char* kConsole = "console";
constexpr const char* kSavedDisk = "disk.qcow2";
constexpr const char* kTwin = "twin.qcow2";
constexpr const char* kSavedVariables = "variables.fd";
constexpr const char* kSavedMemory = "memory";

std::string FromBase64(const json& reply, const char* key) {
  std::string text = reply.value(key, "");
  std::string bytes(text.size() / 4 * 3, '\0');
  int length = ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                 reinterpret_cast<const unsigned char*>(text.data()),
                                 static_cast<int>(text.size()));
  if (length < 0) return "";
  // EVP_DecodeBlock counts the padding as bytes.
  for (size_t at = text.size(); at > 0 && text[at - 1] == '='; at--) length--;
  bytes.resize(static_cast<size_t>(length));
  return bytes;
}

Result<> Copy(const std::string& from, const std::string& to) {
  std::error_code error;
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing, error);
  if (error) return Fail(Code::kFailed, "copy {} to {}: {}", from, to, error.message());
  return {};
}

}  // namespace

Result<std::unique_ptr<Vm>> Vm::Start(const VmOptions& options) {
  std::unique_ptr<Vm> vm(new Vm(options));
  TRY(vm->MakeFiles());
  TRY(vm->Launch());
  if (!options.snapshot.empty()) TRY(vm->Restore());
  return vm;
}

Vm::~Vm() {
  Count(boot_offsets_.size() - (options_.snapshot.empty() ? 0 : 1), "boots");
  qemu_.Kill();
  std::error_code ignored;  // a leftover temporary directory does no harm
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

Result<> Vm::MakeFiles() {
  std::error_code error;
  std::filesystem::create_directories(options_.log_directory, error);
  if (error) return Fail(Code::kFailed, "{}: {}", options_.log_directory, error.message());
  (void)::unlink(QemuLog().c_str());  // from an earlier run; usually absent

  directory_ = std::filesystem::temp_directory_path() / "hostos-vm.XXXXXX";
  if (::mkdtemp(directory_.data()) == nullptr) return FailErrno(directory_);
  const bool restore = !options_.snapshot.empty();
  const std::string base = restore ? options_.snapshot + "/" + kSavedDisk : options_.disk;
  TRY(Process::Run({"qemu-img", "create", "-q", "-f", "qcow2", "-F",
                    restore ? "qcow2" : options_.rig.disk_format, "-b",
                    std::filesystem::absolute(base), directory_ + "/" + kSavedDisk},
                   QemuLog()));
  if (!options_.rig.twin.empty())
    TRY(Process::Run({"qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b",
                      std::filesystem::absolute(options_.disk), directory_ + "/" + kTwin},
                     QemuLog()));
  if (!options_.rig.write_log.empty()) {
    TRY(Process::Run({"qemu-img", "convert", "-O", "raw", directory_ + "/" + kSavedDisk,
                      options_.rig.write_log + ".base"},
                     QemuLog()));
    TRY(Open(options_.rig.write_log, O_WRONLY | O_CREAT | O_EXCL, 0600));
  }
  // Opened for reading and writing, so that neither this process nor QEMU waits for the other.
  if (::mkfifo((directory_ + "/" + kConsole).c_str(), 0600) < 0) return FailErrno(kConsole);
  console_ = TRY(Open(directory_ + "/" + kConsole, O_RDWR));
  // Variables of a machine with other devices would send the firmware to its shell.
  return Copy(restore ? options_.snapshot + "/" + kSavedVariables : Machine::kVariables,
              directory_ + "/" + kSavedVariables);
}

Result<> Vm::Launch() {
  qmp_ = TRY(LineSocket::Make());
  agent_ = TRY(LineSocket::Make());
  output_ = TRY(LineSocket::Make());
  Machine machine{.disk = directory_ + "/" + kSavedDisk,
                  .twin = directory_ + "/" + kTwin,
                  .variables = directory_ + "/" + kSavedVariables,
                  .serial = SerialLog(),
                  .console = directory_ + "/" + kConsole,
                  .qmp = qmp_.far(),
                  .agent = agent_.far(),
                  .output = output_.far(),
                  .server_port = options_.server_port,
                  .rig = options_.rig,
                  .restore = !options_.snapshot.empty()};
  qemu_ = TRY(Process::Start(machine.CommandLine(), QemuLog(),
                             {machine.qmp, machine.agent, machine.output}));
  for (LineSocket* socket : {&qmp_, &agent_, &output_}) socket->CloseFar();
  TRY(Qmp("qmp_capabilities"));
  return {};
}

Result<> Vm::Restore() {
  TRY(Migrate("migrate-incoming", options_.snapshot));
  TRY(Qmp("cont"));
  // The guest opened the port and answered there before it was saved: no event will say so.
  agent_open_ = agent_synced_ = true;
  return {};
}

Result<> Vm::Save(const std::string& directory) {
  TRY(Qmp("stop"));
  TRY(Migrate("migrate", directory));
  qemu_.Kill();
  TRY(Copy(directory_ + "/" + kSavedDisk, directory + "/" + kSavedDisk));
  // What this machine started from may be replaced, so the snapshot depends on the disk alone.
  if (!options_.snapshot.empty())
    TRY(Process::Run({"qemu-img", "rebase", "-q", "-f", "qcow2", "-F", "qcow2", "-b",
                      std::filesystem::absolute(options_.disk), directory + "/" + kSavedDisk},
                     QemuLog()));
  return Copy(directory_ + "/" + kSavedVariables, directory + "/" + kSavedVariables);
}

Result<> Vm::Migrate(const std::string& command, const std::string& directory) {
  migration_.clear();
  TRY(Qmp("migrate-set-capabilities",
          {{"capabilities", json::array({{{"capability", "events"}, {"state", true}}})}}));
  TRY(Qmp(command, {{"uri", "file:" + directory + "/" + kSavedMemory}}));
  TRY(Await([&] { return migration_ == "completed" || migration_ == "failed"; },
            Steady::now() + kMigrationLimit, command + " to complete"));
  if (migration_ == "failed")
    return Fail(Code::kFailed, "{}: {} failed:\n{}", directory, command, LastLines(QemuLog(), 5));
  return {};
}

Result<std::string> Vm::Fingerprint() {
  Machine machine;
  machine.server_port = 1;
  std::string text;
  for (const std::string& argument : machine.CommandLine()) text += argument + "\n";
  std::string log = std::filesystem::temp_directory_path() / "hostos-qemu.XXXXXX";
  UniqueFd fd(::mkstemp(log.data()));
  if (!fd) return FailErrno(log);
  Result<> asked = Process::Run({Machine::kQemu, "--version"}, log);
  Result<std::string> version = ReadFile(log);
  (void)::unlink(log.c_str());  // temporary
  TRY(asked);
  text += TRY(version);
  return Sha256::Of(AsBytes(text)).Short();
}

// --- the loop: everything QEMU and the guest say arrives here ---

Result<> Vm::Pump(Deadline deadline) {
  auto left = std::chrono::ceil<Milliseconds>(deadline - Steady::now()).count();
  pollfd fds[] = {{qmp_.fd(), POLLIN, 0},
                  {agent_.fd(), POLLIN, 0},
                  {output_.fd(), POLLIN, 0},
                  {qemu_.pidfd(), POLLIN, 0}};
  if (::poll(fds, std::size(fds), static_cast<int>(std::max<int64_t>(left, 0))) < 0 &&
      errno != EINTR)
    return FailErrno("poll");
  if (fds[3].revents != 0) return Fail(Code::kFailed, "QEMU ended:\n{}", LastLines(QemuLog(), 10));
  for (LineSocket* socket : {&qmp_, &agent_, &output_}) TRY(socket->Receive());
  return Dispatch();
}

Result<> Vm::Dispatch() {
  while (std::optional<std::string> line = qmp_.NextLine()) {
    json message = json::parse(*line, nullptr, false);
    if (message.contains("event")) {
      OnEvent(message);
    } else if (message.contains("return") || message.contains("error")) {
      qmp_reply_ = std::move(message);
    } else if (!message.contains("QMP")) {
      return Fail(Code::kFailed, "QMP: not understood: {}", *line);
    }
  }
  while (std::optional<std::string> line = agent_.NextLine()) {
    // guest-sync-delimited sends 0xff first: whatever came before it is discarded.
    json message = json::parse(line->substr(line->rfind('\xff') + 1), nullptr, false);
    if (message.contains("return") || message.contains("error")) agent_reply_ = std::move(message);
  }
  return {};
}

void Vm::OnEvent(const json& event) {
  const std::string name = event["event"];
  const json data = event.value("data", json::object());
  if (name == "RESET") {
    boot_offsets_.push_back(std::filesystem::file_size(SerialLog()));
    agent_open_ = agent_synced_ = false;
  } else if (name == "VSERPORT_CHANGE" && data.value("id", "") == "agent") {
    agent_open_ = data.value("open", false);
    agent_synced_ = false;
  } else if (name == "MIGRATION") {
    migration_ = data.value("status", "");
  }
}

Result<> Vm::Await(const std::function<bool()>& done, Deadline deadline, const std::string& what) {
  while (!done()) {
    if (Steady::now() >= deadline)
      return Fail(Code::kFailed, "{}: waited in vain for {}; the serial console ({}) ends:\n{}",
                  options_.name, what, SerialLog(), SerialTail());
    TRY_CONTEXT(options_.name + ": while waiting for " + what, Pump(deadline));
  }
  return {};
}

Result<> Vm::Pause(Deadline deadline, const std::string& what) {
  const Deadline next = Steady::now() + kPollInterval;
  TRY(Await([&] { return Steady::now() < deadline; }, deadline, what));
  while (Steady::now() < next) TRY(Pump(next));
  return {};
}

Result<> Vm::WaitUntil(const std::function<bool()>& done, Seconds limit, const std::string& what) {
  const Deadline deadline = Steady::now() + limit;
  while (!done()) TRY(Pause(deadline, what));
  return {};
}

Result<json> Vm::Qmp(const std::string& command, json arguments) {
  json request = {{"execute", command}};
  if (!arguments.is_null()) request["arguments"] = std::move(arguments);
  qmp_reply_.reset();
  TRY(qmp_.Send(request.dump() + "\n"));
  TRY(Await([&] { return qmp_reply_.has_value(); }, Steady::now() + kReplyLimit,
            "QEMU's answer to " + command));
  if (qmp_reply_->contains("error"))
    return Fail(Code::kFailed, "QEMU: {}: {}", command, (*qmp_reply_)["error"].dump());
  return (*qmp_reply_)["return"];
}

// --- the guest agent ---

Result<json> Vm::Agent(const std::string& command, json arguments) {
  json request = {{"execute", command}};
  if (!arguments.is_null()) request["arguments"] = std::move(arguments);
  agent_reply_.reset();
  TRY(agent_.Send(request.dump() + "\n"));
  TRY(Await([&] { return agent_reply_.has_value() || !agent_open_; }, Steady::now() + kReplyLimit,
            "the guest agent's answer to " + command));
  if (!agent_reply_) return Fail(Code::kNotFound, "{}: the guest agent went away", options_.name);
  if (agent_reply_->contains("error"))
    return Fail(Code::kFailed, "{}: guest agent: {}: {}", options_.name, request.dump(),
                (*agent_reply_)["error"].dump());
  return (*agent_reply_)["return"];
}

Result<> Vm::WaitAgent(Seconds limit) {
  const Deadline deadline = Steady::now() + limit;
  if (agent_synced_) return {};
  // The firmware opens the port too, as a console with a keyboard, so nothing is sent before Linux
  // runs.
  TRY(Await(
      [&] { return agent_open_ && Serial(Boots()).find("Linux version") != std::string::npos; },
      deadline, "the guest agent"));
  const int64_t id = next_id_++;
  agent_reply_.reset();
  TRY(agent_.Send("\xff" +
                  json{{"execute", "guest-sync-delimited"}, {"arguments", {{"id", id}}}}.dump() +
                  "\n"));
  TRY(Await([&] { return agent_reply_ && agent_reply_->value("return", json()) == id; }, deadline,
            "the guest agent to answer"));
  agent_synced_ = true;
  return {};
}

Result<int64_t> Vm::Exec(const std::vector<std::string>& argv) {
  TRY(WaitAgent(kReplyLimit));
  json reply =
      TRY(Agent("guest-exec", {{"path", argv[0]},
                               {"arg", std::vector<std::string>(argv.begin() + 1, argv.end())},
                               {"capture-output", true}}));
  return reply.value("pid", int64_t{0});
}

Result<std::optional<json>> Vm::WaitExit(int64_t pid, Seconds limit, const std::string& what) {
  const Deadline deadline = Steady::now() + limit;
  const int boots = Boots();
  while (Boots() == boots) {
    Result<json> status = Agent("guest-exec-status", {{"pid", pid}});
    if (status && status->value("exited", false)) return *status;
    if (!status && agent_open_) return std::unexpected(std::move(status).error());
    // When a machine goes down, its agent ends first.
    if (!status) TRY(Await([&] { return Boots() > boots; }, deadline, "a reboot during " + what));
    TRY(Pause(deadline, "the end of " + what));
  }
  return std::nullopt;
}

Result<GuestResult> Vm::Run(const std::vector<std::string>& argv, Seconds limit) {
  int64_t pid = TRY(Exec(argv));
  std::optional<json> status = TRY(WaitExit(pid, limit, argv[0]));
  if (!status)
    return Fail(Code::kFailed, "{}: the machine rebooted while {} ran", options_.name, argv[0]);
  // A program ended by a signal has no exit code.
  return GuestResult{status->value("exitcode", 128 + status->value("signal", 0)),
                     FromBase64(*status, "out-data"), FromBase64(*status, "err-data")};
}

Result<> Vm::Spawn(const std::vector<std::string>& argv) {
  output_.Clear();
  std::vector<std::string> shell = {"/bin/sh", "-c",
                                    std::format("exec \"$@\" >{} 2>&1", kOutputPort), "sh"};
  shell.insert(shell.end(), argv.begin(), argv.end());
  spawned_ = TRY(Exec(shell));
  return {};
}

Result<> Vm::WaitOutput(const std::string& text, Seconds limit) {
  return Await([&] { return Output().find(text) != std::string::npos; }, Steady::now() + limit,
               "\"" + text + "\" in the output of the program");
}

Result<std::optional<int>> Vm::WaitSpawned(Seconds limit) {
  std::optional<json> status = TRY(WaitExit(spawned_, limit, "the program"));
  if (!status) return std::nullopt;
  return status->value("exitcode", 128 + status->value("signal", 0));
}

Result<> Vm::KillSpawned() {
  TRY(Run({"kill", "-KILL", std::to_string(spawned_)}, kReplyLimit));
  return {};
}

// --- boots and the console ---

Result<> Vm::WaitBoots(int boots, Seconds limit) {
  return Await([&] { return Boots() >= boots; }, Steady::now() + limit,
               std::format("boot {} (this is boot {})", boots, Boots()));
}

Result<> Vm::Reset() {
  const int boots = Boots();
  TRY(Qmp("system_reset"));
  return WaitBoots(boots + 1, kReplyLimit);
}

std::string Vm::Serial(int boot) const {
  Result<std::string> log = ReadFile(SerialLog(), 64 << 20);
  if (!log) return "";
  size_t begin = boot_offsets_[boot - 1];
  size_t end = boot < Boots() ? boot_offsets_[boot] : log->size();
  return log->substr(begin, end - begin);
}

Result<> Vm::Type(std::string_view text) {
  return WriteFull(console_.get(), AsBytes(text));
}

std::string Vm::SerialTail(size_t lines) const {
  return LastLines(SerialLog(), lines);
}

}  // namespace hostos

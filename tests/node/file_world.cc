#include "tests/node/file_world.h"

#include <sys/wait.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/bootctl/disk_machine.h"
#include "updater/base/atomic_file.h"
#include "updater/engine/releases.h"
#include "updater/engine/rescue.h"
#include "updater/seal/seal.h"

namespace hostos {
namespace {

constexpr Seconds kPatience(60);

// The rescue system has no running root to take objects from.
SourceOptions SourceIn(const std::string& directory, const SystemdBootOptions& boot, bool rescue) {
  const auto origin = nlohmann::json::parse(ReadText(directory + "/origin.json"));
  return {.url = origin["url"],
          .channel = "stable",
          .architecture = "x86-64",
          .root = origin["root"],
          .metadata = directory + "/state/tuf",
          .parent = rescue ? "" : origin["parent"],
          .holds = HeldReleases(SystemdBoot(boot).Read()),
          .key_directories = {origin["keys"].get<std::string>()},
          .seal_formats = {kSealFormats.begin(), kSealFormats.end()},
          .http = {}};
}

// The rescue leaves the same slot alone as in hostctl's own main.
SystemdBootOptions BootIn(const std::string& directory, const StateDir& state, bool rescue) {
  SystemdBootOptions options = DiskMachine::OptionsIn(directory);
  if (!rescue) return options;
  options.rescues = Slot::A;
  if (const Result<BootState> boot = SystemdBoot(options).Read())
    options.rescues = SlotToRescue(state.record().Load().value_or(Record{}), *boot);
  return options;
}

}  // namespace

Result<UniqueFd> FetchProcess::Start(const std::string& state) {
  Wait();
  auto [ours, theirs] = TRY(StreamPair());
  const std::string variables[] = {"STATE_DIRECTORY=" + state, "TMPDIR=" + state};
  std::vector<char*> environment;
  for (const std::string& variable : variables)
    environment.push_back(const_cast<char*>(variable.c_str()));
  environment.push_back(nullptr);
  char* const arguments[] = {const_cast<char*>("fetch"), nullptr};
  pid_ = ::fork();
  if (pid_ < 0) return FailErrno("fork");
  if (pid_ == 0) {
    ::dup2(theirs.get(), STDIN_FILENO);
    ::execve(FETCH_PROGRAM, arguments, environment.data());
    ::_exit(127);
  }
  return std::move(ours);
}

void FetchProcess::Wait() {
  if (pid_ > 0) (void)::waitpid(pid_, nullptr, 0);  // its peer reports how it ended
  pid_ = -1;
}

FileWorld::FileWorld(const std::string& directory, bool rescue)
    : directory_(directory),
      state_(directory + "/state", directory + "/run"),
      source_([this] { return fetch_.Start(directory_ + "/fetch"); },
              SourceIn(directory, BootIn(directory, state_, rescue), rescue), kPatience),
      boot_(BootIn(directory, state_, rescue)),
      clock_(std::stoull(ReadText(directory + "/time"))),
      floor_(directory + "/state/floor") {}

std::vector<CheckResult> FileWorld::Round(Milliseconds) {
  const Result<std::string> why = ReadFile(directory_ + "/unhealthy", 4096);
  return {{.name = "canary", .ok = !why, .detail = why.value_or("")}};
}

Result<> FileWorld::Reboot() {
  return WriteFileAtomically(directory_ + "/reboot", "");
}

Result<std::string> FileWorld::BootId() {
  return ReadFile(directory_ + "/boot-id", 64);
}

ExitCode RunOnFiles(const std::string& directory, std::span<const char* const> words,
                    Console& console) {
  const Result<Invocation> invocation = ParseCommandLine(words);
  if (!invocation) {
    console.err << invocation.error().message << "\n";
    return ExitCode::kUsage;
  }
  FileWorld node(directory, invocation->command->verb == Verb::kRescue);
  Config config{.url = "of the node"};
  config.health.window = Seconds(0);
  config.probation.fall_back = std::filesystem::exists(directory + "/fall-back");
  return RunVerb(*invocation, node.world, config, nullptr, console);
}

}  // namespace hostos

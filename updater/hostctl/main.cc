// hostctl, the operator's tool. Builds the engine's World from its real parts.
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <span>

#include "bootctl/systemd_boot.h"
#include "updater/base/printable.h"
#include "updater/blackbox/system_black_box.h"
#include "updater/engine/releases.h"
#include "updater/engine/rescue.h"
#include "updater/fetch/remote_source.h"
#include "updater/health/system_health.h"
#include "updater/hostctl/failure.h"
#include "updater/hostctl/help.h"
#include "updater/hostctl/sbom.h"
#include "updater/hostctl/system_power.h"
#include "updater/hostctl/verbs.h"
#include "updater/seal/seal.h"
#include "updater/slot/partition_slot_disk.h"

namespace hostos {
namespace {

#if defined(__x86_64__)
constexpr const char* kArchitecture = "x86-64";
#elif defined(__aarch64__)
constexpr const char* kArchitecture = "arm64";
#else
#error "HostOS has no releases for this architecture"
#endif

constexpr const char* kShippedConfig = "/usr/lib/hostctl/hostctl.toml";
constexpr const char* kLocalConfig = "/etc/hostctl/hostctl.toml";
constexpr const char* kStateDirectory = "/var/lib/hostos";
constexpr const char* kRunDirectory = "/run/hostos";
constexpr const char* kSlotsDirectory = "/run/hostos/slots";
constexpr const char* kCheckContainerd = "/usr/lib/hostos/check-containerd";
constexpr char kFetchSocket[] = "/run/hostos-fetch/socket";
constexpr Seconds kFetchPatience{900};
constexpr Seconds kGatePatience{60};  // the gate only lets it free space: not worth a trial's time

ExitCode PrintFailure(const Error& error, const std::string& advice) {
  std::cerr << FailureText(error, "", advice);
  return ExitCodeOf(error.code);
}

Result<Config> ReadConfig(const Invocation& invocation) {
  std::vector<std::string> files = {kShippedConfig, kLocalConfig};
  if (invocation.command->verb == Verb::kRescue) {
    if (invocation.config) files.push_back(*invocation.config);
    std::vector<std::string> unused;
    const Config config = LoadWhatCanBe(files, unused);
    for (const std::string& problem : unused)
      std::cerr << "hostctl: going on without this: " << Printable(problem) << "\n";
    return config;
  }
  if (invocation.config) {
    // The default files may be absent; one named on the command line may not.
    if (::access(invocation.config->c_str(), R_OK) < 0) {
      Error error = FailErrno("--config " + *invocation.config).error();
      return Fail(Code::kUsage, "{}", error.message);
    }
    files.push_back(*invocation.config);
  }
  return LoadConfig(files);
}

bool Set(const char* variable) {
  const char* value = std::getenv(variable);
  return value && *value;
}

bool IsTerminal(int fd) {
  const char* type = std::getenv("TERM");
  return ::isatty(fd) && type && std::string_view(type) != "dumb";
}

Console MakeConsole(const Invocation& invocation) {
  using Style = PhaseProgress::Style;
  winsize size{};
  const bool sized = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return {.out = std::cout,
          .err = std::cerr,
          .paint = Paint(IsTerminal(STDOUT_FILENO) && !invocation.no_color && !Set("NO_COLOR")),
          .style = invocation.quiet            ? Style::kQuiet
                   : IsTerminal(STDERR_FILENO) ? Style::kTerminal
                                               : Style::kLog,
          .columns = sized ? size.ws_col : size_t{80},
          .journal = Set("JOURNAL_STREAM") && !::isatty(STDERR_FILENO)};
}

// The rescue system writes one slot and leaves the other alone.
SystemdBootOptions BootOptions(const Invocation& invocation, const Record& record) {
  SystemdBootOptions options;
  if (invocation.command->verb != Verb::kRescue) return options;
  options.rescues = Slot::A;
  if (const Result<BootState> boot = SystemdBoot(options).Read())
    options.rescues = SlotToRescue(record, *boot);
  return options;
}

// The repositories in the slots that the rescue system mounted, damaged or not (rescue-slots).
std::vector<std::string> DamagedSlots() {
  std::vector<std::string> repositories;
  std::error_code error;  // no directory, no repositories
  for (std::filesystem::directory_iterator slot(kSlotsDirectory, error), end; !error && slot != end;
       slot.increment(error))
    repositories.push_back(slot->path() / "ostree/repo");
  return repositories;
}

// systemd starts a fetching process for each connection.
Result<UniqueFd> ConnectToFetch() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::ranges::copy(kFetchSocket, address.sun_path);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
    return Fail(Code::kFailed, "{}; it takes: systemctl start hostos-fetch.socket",
                FailErrno(kFetchSocket).error().message);
  return fd;
}

// The rescue system runs no containers.
class NoChecks : public Health {
  std::vector<CheckResult> Round(Milliseconds) override { return {}; }
};

ExitCode RunOnThisMachine(const Invocation& invocation) {
  Result<Config> read = ReadConfig(invocation);
  const Config config = read.value_or(Config{});
  const bool rescue = invocation.command->verb == Verb::kRescue;
  StateDir state(kStateDirectory, kRunDirectory);
  const Record record = state.record().LoadOrSalvage();
  const SystemdBootOptions boot_options = BootOptions(invocation, record);
  RemoteSource source(
      ConnectToFetch,
      {.url = invocation.from ? std::filesystem::absolute(*invocation.from).string() : config.url,
       .product = config.product,
       .channel = config.channel,
       .architecture = kArchitecture,
       .parent = rescue ? "" : SourceOptions().parent,
       .damaged = rescue ? DamagedSlots() : std::vector<std::string>(),
       .holds = invocation.command->verb == Verb::kUpdate
                    ? HeldReleases(SystemdBoot(boot_options).Read())
                    : std::vector<Digest>(),
       .token_file = config.token_file,
       .key_directories = config.keys,
       .signatures = SignatureRuleOf(config, record),
       .seal_formats = {kSealFormats.begin(), kSealFormats.end()},
       .http = {.rate_limit = config.rate_limit, .proxy = config.proxy}},
      invocation.command->verb == Verb::kGate ? kGatePatience : kFetchPatience);
  if (rescue)
    for (const std::string& problem : tuf::Client::DropUnreadable(SourceOptions().metadata))
      std::cerr << "hostctl: going on without the metadata that was kept: " << problem << "\n";
  SystemdBoot boot(boot_options);
  PartitionSlotDisk disk(boot);
  SystemHealth checks(config.health, kCheckContainerd);
  NoChecks no_checks;
  SystemPower power;
  SystemClock clock;
  SystemBlackBox black_box;
  FileFloor floor(std::string(kStateDirectory) + "/floor");
  if (rescue)
    for (const std::string& problem : floor.DropUnreadable())
      std::cerr << "hostctl: going on without the floor that was kept: " << Printable(problem)
                << "\n";
  Health& health = rescue ? static_cast<Health&>(no_checks) : checks;
  World world{source, disk, boot, health, power, clock, black_box, floor, state};
  Console console = MakeConsole(invocation);
  return RunVerb(invocation, world, config, read ? nullptr : &read.error(), console);
}

ExitCode Main(std::span<const char* const> words) {
  if (words.empty()) {
    std::cerr << HelpText();
    return ExitCode::kUsage;
  }
  const Result<Invocation> invocation = ParseCommandLine(words);
  if (!invocation)
    return PrintFailure(invocation.error(), "See: hostctl --help, or hostctl VERB --help");
  if (invocation->help) {
    std::cout << (invocation->command ? HelpText(*invocation->command) : HelpText());
    return ExitCode::kDone;
  }
  if (invocation->program_version) {
    std::cout << "hostctl " HOSTOS_VERSION "\n";
    return ExitCode::kDone;
  }
  if (invocation->command->verb == Verb::kHelp) {
    std::cout << (invocation->topic ? HelpText(*invocation->topic) : ManualText());
    return ExitCode::kDone;
  }
  if (invocation->command->verb == Verb::kSbom) {
    const Result<std::string> text = ReadSbom("", invocation->format.value_or("cyclonedx"));
    if (!text) return PrintFailure(text.error(), "");
    if (!invocation->quiet) std::cout << Printable(*text);
    return ExitCode::kDone;
  }
  if (::geteuid() != 0)
    return PrintFailure({Code::kFailed, std::format("{} must be run by root: it reads partitions, "
                                                    "the ESP and {}",
                                                    invocation->command->name, kStateDirectory)},
                        "");
  // A verb that changes the machine goes on when nobody reads its progress any more.
  if (invocation->command->verb == Verb::kUpdate || invocation->command->verb == Verb::kRollback)
    ::signal(SIGPIPE, SIG_IGN);
  return RunOnThisMachine(*invocation);
}

}  // namespace
}  // namespace hostos

int main(int argc, char** argv) try {
  using hostos::ExitCode;
  ExitCode code = hostos::Main(std::span<const char* const>(argv + 1, argc > 0 ? argc - 1 : 0));
  if (!std::cout.flush()) {
    std::cerr << "hostctl: standard output could not be written\n";
    code = ExitCode::kFailed;
  }
  return Number(code);
} catch (const std::exception& exception) {
  // HostOS's own code does not throw: this is out of memory, or a library.
  std::cerr << "hostctl: " << exception.what() << "\n";
  return Number(hostos::ExitCode::kFailed);
}

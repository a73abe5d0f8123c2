// The parts of hostctl(8) that are not in the command table.
#include "updater/hostctl/help.h"

namespace hostos {
namespace {

constexpr std::string_view kDescription[] = {
    "A HostOS system has two slots, A and B. One of them runs, the other one takes the next "
    "release. hostctl writes a signed release to the slot that does not run, and makes it boot "
    "next. A release that does not pass its health gate in its first boots is given up: the "
    "machine boots the release before it, without anybody's help, and `hostctl status --why` tells "
    "the reason.",
    "Results are written to standard output, progress and errors to standard error. Every verb may "
    "be interrupted at any time, and run again. All but sbom and help must be run by root.",
};

constexpr ManualTerm kEnvironment[] = {
    {"NO_COLOR", "No colors when it is set and not empty."},
};

constexpr ManualTerm kFiles[] = {
    {"/usr/lib/hostctl/hostctl.toml", "The settings as shipped, every one of them explained."},
    {"/etc/hostctl/hostctl.toml", "This machine's settings, read over those."},
    {"/usr/lib/hostos/keys.d /etc/hostctl/keys.d", "Trusted public keys."},
    {"/etc/hostctl/health.d/required /etc/hostctl/health.d/wanted",
     "The operator's own health checks: executables."},
    {"/var/lib/hostos/record.json", "What was tried on this machine, and how it ended."},
    {"/efi/EFI/Linux", "The boot entries: what boots, and how many tries it has left."},
};

constexpr ManualExample kExamples[] = {
    {"Look for an update, see what it would do, and run it:",
     "hostctl update --check\nhostctl update --plan\nhostctl update --reboot"},
    {"Why did the last update fall back, and once more:",
     "hostctl status --why\nhostctl update --retry"},
    {"In a script, reboot only when there is something to reboot for:",
     "hostctl update --quiet\n[ $? -eq 4 ] && systemctl reboot"},
};

std::vector<ManualOption> OptionsOf(std::span<const OptionSpec> options) {
  std::vector<ManualOption> all;
  for (const OptionSpec& option : options)
    all.push_back({.name = option.name.substr(2),
                   .argument = option.argument,
                   .help = option.help,
                   .choices = option.choices});
  return all;
}

// The verbs that `hostctl help` takes.
std::string VerbNames() {
  std::string names;
  for (const Command& command : Commands())
    if (!command.hidden) names += std::format("{}{}", names.empty() ? "" : " ", command.name);
  return names;
}

}  // namespace

Manual HostctlManual() {
  Manual manual{.program = "hostctl",
                .section = 8,
                .date = "November 30, 2026",
                .summary = "update a HostOS system, and say how it is",
                .description = kDescription,
                .options = OptionsOf(GlobalOptions()),
                .environment = kEnvironment,
                .files = kFiles,
                .examples = kExamples,
                .see_also = {"systemctl 1", "systemd-boot 7"}};
  for (const Command& command : Commands()) {
    ManualCommand& each = manual.commands.emplace_back();
    each = {.name = command.name,
            .operand = command.operand,
            .description = command.description,
            .options = OptionsOf(command.options),
            .operands = command.operand.empty() ? "" : VerbNames(),
            .hidden = command.hidden};
    for (const ExitUse& use : command.exits) each.exits.push_back({Number(use.code), use.meaning});
  }
  for (const ExitCodeMeaning& row : kExitCodes)
    manual.exits.push_back({Number(row.code), row.meaning});
  return manual;
}

}  // namespace hostos

#include "updater/hostctl/help.h"

namespace hostos {
namespace {

// A piece of text in mdoc(7): a backslash is escaped, and a line must not begin with a control
// character. Quoted as one macro argument it is safe as well.
std::string Escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '"') {
      out += "\\(dq";
    } else {
      out += c;
    }
  }
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

// A sentence per line, as mdoc wants it.
std::string Sentences(std::string_view text) {
  std::string out = Escaped(text);
  for (size_t at; (at = out.find(". ")) != std::string::npos;) out.replace(at, 2, ".\n");
  return out + "\n";
}

// ".Fl -plan" with the argument, of "--plan".
std::string Flag(const OptionSpec& option) {
  std::string flag = std::format("Fl -{}", option.name.substr(2));
  if (!option.argument.empty()) flag += std::format(" Ar {}", option.argument);
  return flag;
}

std::string OptionMacros(std::span<const OptionSpec> options) {
  std::string text = ".Bl -tag -width Ds\n";
  for (const OptionSpec& option : options)
    text += std::format(".It {}\n{}.\n", Flag(option), Escaped(option.help));
  return text + ".El\n";
}

std::string ExitList(std::span<const ExitUse> exits) {
  std::string text = "Exit codes:\n.Bl -tag -width 10n -compact\n";
  for (const ExitUse& use : exits)
    text += std::format(".It {}\n{}.\n", Number(use.code), Escaped(use.meaning));
  return text + ".El\n";
}

std::string CommandSection(const Command& command) {
  std::string text = std::format(".Ss hostctl {}\n", command.name);
  text += Sentences(command.description);
  if (!command.options.empty()) text += OptionMacros(command.options);
  return text + ".Pp\n" + ExitList(command.exits);
}

constexpr std::string_view kPageHead = R"(.\" Generated from hostctl's command table.
.Dd November 21, 2026
.Dt HOSTCTL 8
.Os
.Sh NAME
.Nm hostctl
.Nd update a HostOS system, and say how it is
.Sh SYNOPSIS
)";

constexpr std::string_view kDescription = R"(.Sh DESCRIPTION
A HostOS system has two slots, A and B.
One of them runs, the other one takes the next release.
.Nm
writes a signed release to the slot that does not run, and makes it boot next.
A release that does not pass its health gate in its first boots is given up: the machine boots the
release before it, without anybody's help, and
.Nm
.Cm status Fl -why
tells the reason.
.Pp
Results are written to standard output, progress and errors to standard error.
Every verb may be interrupted at any time, and run again.
.Nm
must be run by root.
.Pp
The options of every verb are:
)";

constexpr std::string_view kTail = R"(.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev NO_COLOR
No colors when it is set and not empty.
.El
.Sh FILES
.Bl -tag -width Ds
.It Pa /usr/lib/hostctl/hostctl.toml
The settings as shipped, every one of them explained.
.It Pa /etc/hostctl/hostctl.toml
This machine's settings, read over those.
.It Pa /usr/lib/hostos/keys.d , Pa /etc/hostctl/keys.d
Trusted public keys.
.It Pa /etc/hostctl/health.d/required , Pa /etc/hostctl/health.d/wanted
The operator's own health checks: executables.
.It Pa /var/lib/hostos/record.json
What was tried on this machine, and how it ended.
.It Pa /efi/EFI/Linux
The boot entries: what boots, and how many tries it has left.
.El
)";

constexpr std::string_view kExamples = R"(.Sh EXAMPLES
Look for an update, see what it would do, and run it:
.Bd -literal -offset indent
hostctl update --check
hostctl update --plan
hostctl update --reboot
.Ed
.Pp
Why did the last update fall back, and once more:
.Bd -literal -offset indent
hostctl status --why
hostctl update --retry
.Ed
.Pp
In a script, reboot only when there is something to reboot for:
.Bd -literal -offset indent
hostctl update --quiet
[ $? -eq 4 ] && systemctl reboot
.Ed
.Sh SEE ALSO
.Xr systemctl 1 ,
.Xr systemd-boot 7
)";

}  // namespace

std::string ManPage() {
  std::string text(kPageHead);
  for (const Command& command : Commands()) {
    text += std::format(".Nm\n.Cm {}\n", command.name);
    for (const OptionSpec& option : command.options) text += std::format(".Op {}\n", Flag(option));
  }
  text += kDescription;
  text += OptionMacros(GlobalOptions());
  text += ".Sh COMMANDS\n";
  for (const Command& command : Commands()) text += CommandSection(command);
  text += kTail;
  text += ".Sh EXIT STATUS\n.Bl -tag -width 10n -compact\n";
  for (const ExitCodeMeaning& row : kExitCodes)
    text += std::format(".It {}\n{}.\n", Number(row.code), Escaped(row.meaning));
  text += ".El\n";
  return text + std::string(kExamples);
}

}  // namespace hostos

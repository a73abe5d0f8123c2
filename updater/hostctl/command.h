// hostctl's verbs and options: one constexpr table. The parser, --help, the man page and the
// completion all read it, so they cannot contradict each other.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "updater/base/result.h"
#include "updater/hostctl/exit_code.h"

namespace hostos {

enum class Verb {
  kStatus,
  kUpdate,
  kRollback,
  kHealth,
  kHistory,
  kVerify,
  kGate,
  kProbation,
  kRecount,
  kRescue,
  kSelfTest,
  kOwn,
  kSbom,
  kHelp
};

struct Command;

// A parsed command line.
struct Invocation {
  const Command* command = nullptr;  // null: no verb, and `help` or `program_version` is set
  bool help = false, program_version = false;
  bool quiet = false, no_color = false;
  bool json = false;
  bool why = false;                                 // status
  bool check = false, plan = false, retry = false;  // update
  bool ignore_health = false;                       // update
  bool allow_metered = false;                       // update
  bool reboot = false;                              // update, rollback, boot selftest
  bool cancel = false;                              // boot selftest
  std::optional<std::string> config;
  std::optional<std::string> version;  // update
  std::optional<std::string> from;     // update, rescue: a directory
  std::optional<std::string> slot;     // verify: "A", "B" or "both"
  std::optional<std::string> format;   // sbom: "cyclonedx" or "spdx"
  const Command* topic = nullptr;      // help: null for the whole manual
};

struct OptionSpec {
  std::string_view name;      // with its dashes
  std::string_view argument;  // "FILE"; empty: a switch
  std::string_view help;
  bool Invocation::* flag = nullptr;
  std::optional<std::string> Invocation::* value = nullptr;
  std::string_view choices = "";  // allowed values, separated by spaces; empty: any
};

// What an exit code means for one verb.
struct ExitUse {
  ExitCode code;
  std::string_view meaning;
};

struct Command {
  Verb verb;
  std::string_view name;         // one word, or two
  std::string_view summary;      // one line, for the list of verbs
  std::string_view description;  // one paragraph
  std::span<const OptionSpec> options;
  std::span<const ExitUse> exits;
  bool hidden = false;            // run by a unit, not by people: documented, not listed
  std::string_view operand = "";  // a verb that may follow, as help shows it; empty: none
};

std::span<const Command> Commands();
// The options of every verb.
std::span<const OptionSpec> GlobalOptions();

// `words` without the program's name. Strict: kUsage for an unknown verb or option, a missing or
// superfluous value, an option given twice, and options that exclude each other.
Result<Invocation> ParseCommandLine(std::span<const char* const> words);

}  // namespace hostos

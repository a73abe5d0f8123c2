#include <algorithm>

#include "updater/hostctl/help.h"

namespace hostos {
namespace {

std::string Joined(std::span<const OptionSpec> options) {
  std::string words;
  for (const OptionSpec& option : options)
    words += std::format("{}{}", words.empty() ? "" : " ", option.name);
  return words;
}

// One case per option that takes a value: a file, one of its choices, or nothing we could know.
std::string ValueCases(std::string_view verb, std::span<const OptionSpec> options) {
  std::string cases;
  for (const OptionSpec& option : options) {
    if (!option.value) continue;
    cases += std::format("    {}:{})\n", verb, option.name);
    if (option.argument == "FILE") {
      cases += "      compopt -o filenames 2>/dev/null\n";
      cases += "      mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n";
    } else if (!option.choices.empty()) {
      cases += std::format("      mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$current\")\n",
                           option.choices);
    }
    cases += "      return ;;\n";
  }
  return cases;
}

constexpr std::string_view kScriptHead =
    R"(# bash completion for hostctl. Generated from its command table.
_hostctl() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb='' words='' i
  COMPREPLY=()
  # "--slot=A" is three words here.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ ${COMP_WORDS[i - 1]} == --config ]] && continue
)";

}  // namespace

std::string BashCompletion() {
  const std::string global = Joined(GlobalOptions());
  std::string verbs, patterns, values, words;
  for (const Command& command : Commands()) {
    if (command.hidden) continue;
    // The second word of a verb is offered with its options.
    const size_t end = std::min(command.name.find(' '), command.name.size());
    const std::string_view verb = command.name.substr(0, end);
    const std::string_view second = command.name.substr(std::min(end + 1, command.name.size()));
    verbs += std::format("{} ", verb);
    patterns += std::format("{}{}", patterns.empty() ? "" : " | ", verb);
    values += ValueCases(verb, command.options);
    words +=
        std::format("    {}) words='{} {} {}' ;;\n", verb, second, Joined(command.options), global);
  }
  std::string script(kScriptHead);
  script += std::format(
      "    case ${{COMP_WORDS[i]}} in\n      {}) verb=${{COMP_WORDS[i]}}; break ;;\n"
      "    esac\n  done\n",
      patterns);
  script += "  case $verb:$previous in\n" + values + ValueCases("*", GlobalOptions()) + "  esac\n";
  script +=
      std::format("  case $verb in\n    '') words='{}{}' ;;\n{}  esac\n", verbs, global, words);
  script += "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n}\n";
  return script + "complete -F _hostctl hostctl\n";
}

}  // namespace hostos

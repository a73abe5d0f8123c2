#include "updater/hostctl/manual.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <format>

namespace hostos {
namespace {

// Escapes text for mdoc(7): a backslash, a quote, and a control character at the start of a line.
// The result is also safe as one quoted macro argument.
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

// Puts each sentence on its own line, as mdoc wants it.
std::string Sentences(std::string_view text) {
  std::string out = Escaped(text);
  for (size_t at; (at = out.find(". ")) != std::string::npos;) out.replace(at, 2, ".\n");
  return out + "\n";
}

// ".Fl -plan" with its argument.
std::string Flag(const ManualOption& option) {
  std::string flag = std::format("Fl -{}", option.name);
  if (!option.argument.empty()) flag += std::format(" Ar {}", option.argument);
  return flag;
}

std::string OptionMacros(std::span<const ManualOption> options) {
  std::string text = ".Bl -tag -width Ds\n";
  for (const ManualOption& option : options)
    text += std::format(".It {}\n{}{}.\n", Flag(option), Escaped(option.help),
                        option.repeats ? "; may be repeated" : "");
  return text + ".El\n";
}

std::string ExitList(std::span<const ManualExit> exits) {
  std::string text = ".Bl -tag -width 10n -compact\n";
  for (const ManualExit& exit : exits)
    text += std::format(".It {}\n{}.\n", exit.code, Escaped(exit.meaning));
  return text + ".El\n";
}

std::string TermList(std::string_view section, std::string_view macro,
                     std::span<const ManualTerm> terms) {
  if (terms.empty()) return "";
  std::string text = std::format(".Sh {}\n.Bl -tag -width Ds\n", section);
  for (const ManualTerm& term : terms) {
    std::string names;
    for (char c : term.names) names += c == ' ' ? std::format(" , {} ", macro) : std::string(1, c);
    text += std::format(".It {} {}\n{}\n", macro, names, Escaped(term.meaning));
  }
  return text + ".El\n";
}

std::string Synopsis(const ManualCommand& command) {
  std::string text = std::format(".Nm\n.Cm {}\n", command.name);
  if (!command.operand.empty()) text += std::format(".Ar {}\n", command.operand);
  for (const ManualOption& option : command.options)
    text += std::format(".{}{}{}\n", option.required ? "" : "Op ", Flag(option),
                        option.repeats ? " ..." : "");
  return text;
}

std::string CommandSection(const Manual& manual, const ManualCommand& command) {
  std::string text = std::format(".Ss {} {}\n", manual.program, command.name);
  text += Sentences(command.description);
  if (!command.options.empty()) text += OptionMacros(command.options);
  if (!command.exits.empty()) text += ".Pp\nExit codes:\n" + ExitList(command.exits);
  return text;
}

// "--json --from": the words to complete.
std::string Joined(std::span<const ManualOption> options) {
  std::string words;
  for (const ManualOption& option : options)
    words += std::format("{}--{}", words.empty() ? "" : " ", option.name);
  return words;
}

// One case for each option that takes a value: completes a file, a choice, or nothing.
std::string ValueCases(std::string_view verb, std::span<const ManualOption> options) {
  std::string cases;
  for (const ManualOption& option : options) {
    if (option.argument.empty()) continue;
    cases += std::format("    {}:--{})\n", verb, option.name);
    const bool directory = option.argument == "DIR";
    if (directory || option.argument == "FILE" || option.argument == "PATH" ||
        option.argument == "KEY") {
      cases += "      compopt -o filenames 2>/dev/null\n";
      cases += std::format("      mapfile -t COMPREPLY < <(compgen -{} -- \"$current\")\n",
                           directory ? 'd' : 'f');
    } else if (!option.choices.empty()) {
      cases += std::format("      mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$current\")\n",
                           option.choices);
    }
    cases += "      return ;;\n";
  }
  return cases;
}

}  // namespace

std::string ManPage(const Manual& manual) {
  std::string upper(manual.program);
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return ::toupper(c); });
  std::string text = std::format(
      ".\\\" Generated from {0}'s command table.\n.Dd {1}\n.Dt {2} {3}\n.Os\n.Sh NAME\n.Nm {0}\n"
      ".Nd {4}\n.Sh SYNOPSIS\n",
      manual.program, manual.date, upper, manual.section, manual.summary);
  for (const ManualCommand& command : manual.commands) text += Synopsis(command);
  text += ".Sh DESCRIPTION\n";
  for (const std::string_view& paragraph : manual.description)
    text += (&paragraph == manual.description.data() ? "" : ".Pp\n") + Sentences(paragraph);
  if (!manual.options.empty())
    text += ".Pp\nThe options of every verb are:\n" + OptionMacros(manual.options);
  text += ".Sh COMMANDS\n";
  for (const ManualCommand& command : manual.commands) text += CommandSection(manual, command);
  text += TermList("ENVIRONMENT", "Ev", manual.environment);
  text += TermList("FILES", "Pa", manual.files);
  text += ".Sh EXIT STATUS\n" + ExitList(manual.exits);
  text += ".Sh EXAMPLES\n";
  for (const ManualExample& example : manual.examples)
    text += std::format("{}{}\n.Bd -literal -offset indent\n{}\n.Ed\n",
                        &example == manual.examples.data() ? "" : ".Pp\n", Escaped(example.text),
                        Escaped(example.lines));
  text += ".Sh SEE ALSO\n";
  for (const std::string_view& page : manual.see_also)
    text += std::format(".Xr {}{}\n", page, &page == &manual.see_also.back() ? "" : " ,");
  return text;
}

std::string BashCompletion(const Manual& manual) {
  const std::string global = Joined(manual.options);
  std::string verbs, patterns, values, words, skipped;
  for (const ManualCommand& command : manual.commands) {
    if (command.hidden) continue;
    // A verb's second word is offered along with its options.
    const size_t end = std::min(command.name.find(' '), command.name.size());
    const std::string_view verb = command.name.substr(0, end);
    const std::string_view second = command.name.substr(std::min(end + 1, command.name.size()));
    verbs += std::format("{} ", verb);
    patterns += std::format("{}{}", patterns.empty() ? "" : " | ", verb);
    values += ValueCases(verb, command.options);
    words += std::format("    {}) words='{} {} {} {}' ;;\n", verb, second, command.operands,
                         Joined(command.options), global);
  }
  for (const ManualOption& option : manual.options)
    if (!option.argument.empty())
      skipped += std::format("    [[ ${{COMP_WORDS[i - 1]}} == --{} ]] && continue\n", option.name);
  std::string script = std::format(
      "# bash completion for {0}. Generated from its command table.\n_{0}() {{\n", manual.program);
  script +=
      R"(  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb='' words='' i
  COMPREPLY=()
  # "--slot=A" is three words here.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
)";
  script += skipped;
  script += std::format(
      "    case ${{COMP_WORDS[i]}} in\n      {}) verb=${{COMP_WORDS[i]}}; break ;;\n"
      "    esac\n  done\n",
      patterns);
  script += "  case $verb:$previous in\n" + values + ValueCases("*", manual.options) + "  esac\n";
  script +=
      std::format("  case $verb in\n    '') words='{}{}' ;;\n{}  esac\n", verbs, global, words);
  script += "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n}\n";
  return script + std::format("complete -F _{0} {0}\n", manual.program);
}

int GenerateManual(std::span<const char* const> words, const Manual& manual) {
  const std::string_view what = words.size() == 1 ? words[0] : "";
  const std::string text = what == "man"          ? ManPage(manual)
                           : what == "completion" ? BashCompletion(manual)
                                                  : "";
  if (text.empty()) {
    (void)std::fputs("expected man or completion\n", stderr);
    return 2;
  }
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return written && std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace hostos

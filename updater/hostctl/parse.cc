#include <algorithm>
#include <ranges>
#include <vector>

#include "updater/hostctl/command.h"

namespace hostos {
namespace {

// "a, b, c": the names of a table's rows.
template <class Rows>
std::string Listed(Rows&& rows) {
  std::string list;
  for (const auto& row : rows) list += std::format("{}{}", list.empty() ? "" : ", ", row.name);
  return list;
}

// The command whose name `words` begin with.
Result<const Command*> FindCommand(std::span<const char* const> words) {
  for (const Command& command : Commands())
    if (command.name == words[0] ||
        (words.size() > 1 && command.name == std::format("{} {}", words[0], words[1])))
      return &command;
  return Fail(Code::kUsage, "unknown verb \"{}\"; the verbs are: {}", words[0],
              Listed(Commands() | std::views::filter([](const Command& c) { return !c.hidden; })));
}

// Looks at the verb's own options first: `update --version V` is not `hostctl --version`.
Result<const OptionSpec*> FindOption(const Command* command, std::string_view name) {
  if (name == "-h") name = "--help";
  std::vector<OptionSpec> known;
  for (std::span<const OptionSpec> options :
       {command ? command->options : std::span<const OptionSpec>(), GlobalOptions()}) {
    auto found = std::ranges::find(options, name, &OptionSpec::name);
    if (found != options.end()) return &*found;
    known.insert(known.end(), options.begin(), options.end());
  }
  return Fail(Code::kUsage, "unknown option {}{}; it takes: {}", name,
              command ? std::format(" of {}", command->name) : " before a verb", Listed(known));
}

Result<> Set(Invocation& invocation, const OptionSpec& option, std::string_view value) {
  if (option.flag) {
    invocation.*option.flag = true;
    return {};
  }
  if (value.empty()) return Fail(Code::kUsage, "{} needs a {}", option.name, option.argument);
  if (invocation.*option.value) return Fail(Code::kUsage, "{} is given twice", option.name);
  auto allowed = option.choices | std::views::split(' ');
  bool chosen =
      std::ranges::any_of(allowed, [&](auto choice) { return std::string_view(choice) == value; });
  if (!option.choices.empty() && !chosen)
    return Fail(Code::kUsage, "{} must be one of {}, found \"{}\"", option.name, option.choices,
                value);
  invocation.*option.value = std::string(value);
  return {};
}

Result<> CheckCombination(const Invocation& invocation) {
  const bool dry = invocation.check || invocation.plan;
  if (invocation.check && invocation.plan)
    return Fail(Code::kUsage, "--check and --plan exclude each other");
  if (invocation.reboot && dry)
    return Fail(Code::kUsage, "--reboot and {} exclude each other",
                invocation.check ? "--check" : "--plan");
  if (invocation.reboot && invocation.cancel)
    return Fail(Code::kUsage, "--reboot and --cancel exclude each other");
  if (invocation.command->verb == Verb::kUpdate && invocation.json && !dry)
    return Fail(Code::kUsage, "update --json needs --check or --plan");
  if (invocation.quiet && invocation.json)
    return Fail(Code::kUsage, "--quiet and --json exclude each other");
  return {};
}

}  // namespace

Result<Invocation> ParseCommandLine(std::span<const char* const> words) {
  Invocation invocation;
  for (size_t i = 0; i < words.size(); i++) {
    std::string_view word = words[i];
    if (!word.starts_with('-')) {
      const bool topic =
          invocation.command && !invocation.topic && !invocation.command->operand.empty();
      if (invocation.command && !topic)
        return Fail(Code::kUsage, "unexpected \"{}\" after {}", word, invocation.command->name);
      const Command* found = TRY(FindCommand(words.subspan(i)));
      (topic ? invocation.topic : invocation.command) = found;
      if (found->name != word) i++;
      continue;
    }
    const size_t equals = word.find('=');
    const bool attached = equals != std::string_view::npos;
    const OptionSpec& option = *TRY(FindOption(invocation.command, word.substr(0, equals)));
    if (option.flag && attached) return Fail(Code::kUsage, "{} takes no value", option.name);
    std::string_view value = attached ? word.substr(equals + 1) : "";
    if (option.value && !attached && i + 1 < words.size() && words[i + 1][0] != '-')
      value = words[++i];
    TRY(Set(invocation, option, value));
  }
  if (invocation.help || invocation.program_version) return invocation;
  if (!invocation.command) return Fail(Code::kUsage, "a verb is missing");
  TRY(CheckCombination(invocation));
  return invocation;
}

}  // namespace hostos

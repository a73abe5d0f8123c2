#include "images/arguments.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace hostos {
namespace {

std::string Spelled(const Option& option) {
  std::string text = std::format("--{}", option.name);
  if (!option.value.empty()) text += std::format(" {}", option.value);
  return text;
}

bool Required(const Option& option) {
  return option.times == Times::kOnce || option.times == Times::kAtLeastOnce;
}

bool Repeats(const Option& option) {
  return option.times == Times::kAnyNumber || option.times == Times::kAtLeastOnce;
}

}  // namespace

Result<Arguments> Arguments::Parse(const Subcommand& verb, std::span<const char* const> words) {
  Arguments arguments;
  const auto operands =
      static_cast<size_t>(verb.operand.empty() ? 0 : 1 + std::ranges::count(verb.operand, ' '));
  bool options_ended = false;
  for (size_t i = 0; i < words.size(); i++) {
    std::string_view word = words[i];
    if (!options_ended && word == "--") {
      options_ended = true;
    } else if (!options_ended && word.starts_with("-") && word != "-") {
      const size_t equals = word.find('=');
      const std::string_view spelled = word.substr(0, equals);
      auto option = std::ranges::find_if(verb.options, [&](const Option& candidate) {
        return spelled.starts_with("--") && spelled.substr(2) == candidate.name;
      });
      if (option == verb.options.end())
        return Fail(Code::kUsage, "{} has no option {}", verb.name, spelled);
      if (option->value.empty()) {
        if (equals != std::string_view::npos)
          return Fail(Code::kUsage, "{} takes no value", spelled);
        TRY(arguments.Add(*option, ""));
      } else if (equals != std::string_view::npos) {
        TRY(arguments.Add(*option, word.substr(equals + 1)));
      } else {
        if (++i == words.size()) return Fail(Code::kUsage, "{} lacks its value", Spelled(*option));
        TRY(arguments.Add(*option, words[i]));
      }
    } else {
      if (arguments.operands_.size() == operands)
        return Fail(Code::kUsage, "{}: unexpected \"{}\"", verb.name, word);
      arguments.operands_.emplace_back(word);
    }
  }
  for (const Option& option : verb.options)
    if (Required(option) && !arguments.Has(option.name))
      return Fail(Code::kUsage, "{} needs {}", verb.name, Spelled(option));
  if (verb.operand.starts_with('['))
    arguments.operands_.resize(operands);
  else if (arguments.operands_.size() < operands || std::ranges::contains(arguments.operands_, ""))
    return Fail(Code::kUsage, "{} needs {}", verb.name, verb.operand);
  return arguments;
}

Result<> Arguments::Add(const Option& option, std::string_view value) {
  if (!option.value.empty() && value.empty())
    return Fail(Code::kUsage, "{}: the value is empty", Spelled(option));
  std::vector<std::string>& values = values_[std::string(option.name)];
  if (!values.empty() && !Repeats(option))
    return Fail(Code::kUsage, "--{} is given twice", option.name);
  values.emplace_back(value);
  return {};
}

std::string Arguments::GetOr(std::string_view option, std::string_view fallback) const {
  return Has(option) ? Get(option) : std::string(fallback);
}

std::vector<std::string> Arguments::All(std::string_view option) const {
  auto found = values_.find(option);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

Result<std::optional<uint64_t>> Arguments::Number(std::string_view option) const {
  if (!Has(option)) return std::nullopt;
  return TRY_CONTEXT(std::format("--{}", option), ParseNumber(Get(option)));
}

Result<std::optional<uint64_t>> Arguments::Size(std::string_view option) const {
  if (!Has(option)) return std::nullopt;
  return TRY_CONTEXT(std::format("--{}", option), ParseSize(Get(option)));
}

Result<uint64_t> ParseSize(std::string_view text) {
  static constexpr std::string_view kSuffixes = "KMGT";
  const size_t suffix = text.empty() ? std::string_view::npos : kSuffixes.find(text.back());
  const size_t shift = suffix == std::string_view::npos ? 0 : 10 * (suffix + 1);
  const Result<uint64_t> number = ParseNumber(text.substr(0, text.size() - (shift > 0 ? 1 : 0)));
  if (!number || *number == 0 || *number > std::numeric_limits<uint64_t>::max() >> shift)
    return Fail(Code::kUsage, "expected a size such as 512M or 2G, found \"{}\"", text);
  return *number << shift;
}

Result<uint64_t> ParseNumber(std::string_view text) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end)
    return Fail(Code::kUsage, "expected a whole number, found \"{}\"", text);
  return number;
}

std::string Help(std::string_view program, std::string_view summary,
                 std::span<const Subcommand> verbs) {
  std::string text = std::format("{}: {}\n\n", program, summary);
  for (const Subcommand& verb : verbs)
    text += std::format("  {} {:<9} {}\n", program, verb.name, verb.summary);
  return text + std::format("\n`{} VERB --help` lists a verb's options.\n", program);
}

std::string Help(std::string_view program, const Subcommand& verb) {
  std::string text = std::format("usage: {} {}", program, verb.name);
  if (!verb.operand.empty()) text += std::format(" {}", verb.operand);
  for (const Option& option : verb.options)
    if (Required(option))
      text += std::format(" {}{}", Spelled(option), Repeats(option) ? "..." : "");
  text += std::format(" [OPTION...]\n\n{}\n\n", verb.summary);
  size_t width = 0;
  for (const Option& option : verb.options) width = std::max(width, Spelled(option).size());
  for (const Option& option : verb.options)
    text += std::format("  {:<{}}  {}{}\n", Spelled(option), width, option.help,
                        Repeats(option) ? " (may be repeated)" : "");
  return text;
}

}  // namespace hostos

#include "updater/hostctl/help.h"

#include <algorithm>
#include <ranges>

namespace hostos {
namespace {

constexpr size_t kWidth = 79;

// Wraps `text` into lines of at most kWidth columns, indented by `indent` spaces. The first line
// continues at column `column`.
std::string Wrapped(std::string_view text, size_t indent, size_t column) {
  std::string out;
  while (!text.empty()) {
    std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (column + word.size() > kWidth) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    }
    out += word;
    column += word.size();
    if (!text.empty() && column < kWidth) {
      out += ' ';
      column++;
    }
  }
  // Removes spaces at line ends.
  for (size_t at; (at = out.find(" \n")) != std::string::npos;) out.erase(at, 1);
  return out;
}

std::string Spelled(const OptionSpec& option) {
  return option.argument.empty() ? std::string(option.name)
                                 : std::format("{} {}", option.name, option.argument);
}

// A list of terms, with explanations in their own column.
class Definitions {
 public:
  explicit Definitions(size_t width) : width_(width) {}
  void Add(std::string_view term, std::string_view explanation) {
    const size_t indent = width_ + 4;
    text_ += std::format("  {:<{}}  {}\n", term, width_, Wrapped(explanation, indent, indent));
  }
  const std::string& text() const { return text_; }

 private:
  size_t width_;
  std::string text_;
};

std::string OptionList(std::span<const OptionSpec> options) {
  Definitions list(17);
  for (const OptionSpec& option : options) list.Add(Spelled(option), option.help);
  return list.text();
}

}  // namespace

std::string UsageLine(const Command& command) {
  std::string line = std::format("usage: hostctl {}", command.name);
  if (!command.operand.empty()) line += std::format(" [{}]", command.operand);
  const size_t indent = line.size() + 1;
  size_t column = line.size();
  for (const OptionSpec& option : command.options) {
    std::string item = std::format("[{}]", Spelled(option));
    if (column + 1 + item.size() > kWidth) {
      line += "\n" + std::string(indent - 1, ' ');
      column = indent - 1;
    }
    line += " " + item;
    column += 1 + item.size();
  }
  return line + "\n";
}

std::string HelpText() {
  Definitions verbs(13), codes(2);
  for (const Command& command : Commands())
    if (!command.hidden) verbs.Add(command.name, command.summary);
  for (const ExitCodeMeaning& row : kExitCodes)
    codes.Add(std::to_string(Number(row.code)), row.meaning);
  return "usage: hostctl VERB [OPTION...]\n\nUpdates this HostOS system, and says how it is.\n\n"
         "verbs:\n" +
         verbs.text() + "\noptions of every verb:\n" + OptionList(GlobalOptions()) +
         "\nexit codes:\n" + codes.text() +
         "\n`hostctl help VERB` tells all of a verb; `hostctl help`, or hostctl(8), is the "
         "manual.\n";
}

std::string ManualText() {
  const Manual manual = HostctlManual();
  std::string text = HelpText();
  for (const std::string_view paragraph : manual.description)
    text += "\n" + Wrapped(paragraph, 0, 0) + "\n";
  const auto list = [&](std::string_view title, std::span<const ManualTerm> terms) {
    text += std::format("\n{}:\n", title);
    for (const ManualTerm& term : terms) {
      text += std::format("  {}\n", Wrapped(term.names, 2, 2));
      text += std::format("      {}\n", Wrapped(term.meaning, 6, 6));
    }
  };
  list("environment", manual.environment);
  list("files", manual.files);
  text += "\nexamples:\n";
  for (const ManualExample& example : manual.examples) {
    text += std::format("  {}\n", example.text);
    for (const auto line : example.lines | std::views::split('\n'))
      text += std::format("      {}\n", std::string_view(line));
  }
  return text;
}

std::string HelpText(const Command& command) {
  Definitions codes(2);
  for (const ExitUse& use : command.exits) codes.Add(std::to_string(Number(use.code)), use.meaning);
  std::string text = UsageLine(command) + "\n" + Wrapped(command.description, 0, 0) + "\n\n";
  if (!command.options.empty()) text += "options:\n" + OptionList(command.options) + "\n";
  return text + "options of every verb:\n" + OptionList(GlobalOptions()) + "\nexit codes:\n" +
         codes.text();
}

}  // namespace hostos

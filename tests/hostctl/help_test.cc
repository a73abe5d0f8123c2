#include "updater/hostctl/help.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <set>
#include <sstream>

#include "tests/shell.h"
#include "tests/temp_dir.h"
#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("the --help of every verb shows all of its options and exit codes, in 79 columns") {
  for (const Command& command : Commands()) {
    const std::string help = HelpText(command);
    CAPTURE(help);
    for (const OptionSpec& option : command.options)
      CHECK_THAT(help, ContainsSubstring("\n  " + std::string(option.name)));
    for (const ExitUse& use : command.exits)
      CHECK_THAT(help, ContainsSubstring(std::format("\n  {:<2}  ", Number(use.code))));
    std::istringstream lines(help);
    for (std::string line; std::getline(lines, line);) {
      CHECK(line.size() <= 79);
      CHECK_FALSE(line.ends_with(' '));
    }
  }
}

TEST_CASE("the --help of hostctl lists every verb for people, and every exit code") {
  const std::string help = HelpText();
  for (const Command& command : Commands()) {
    const std::string listed = std::format("\n  {:<13}  {}", command.name, command.summary);
    CHECK((help.find(listed) != std::string::npos) == !command.hidden);
  }
  for (const ExitCodeMeaning& row : kExitCodes)
    CHECK_THAT(help, ContainsSubstring(std::format("\n  {:<2}  ", Number(row.code))));
}

TEST_CASE("the man page has no fault that mandoc can find") {
  TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "hostctl.8", ManPage(HostctlManual())));
  // The level below, style, would have the machine that lints know the manuals of systemd.
  const CommandResult lint = Shell("mandoc -Tlint -Wwarning " + (dir / "hostctl.8"));
  CHECK(lint.output == "");
  CHECK(lint.status == 0);
}

TEST_CASE("the man page, as it is read, names every verb, option and exit code") {
  TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "hostctl.8", ManPage(HostctlManual())));
  const CommandResult page =
      Shell("mandoc -Tutf8 -Owidth=200 " + (dir / "hostctl.8") + " | sed 's/.\\x08//g'");
  REQUIRE(page.status == 0);
  for (const Command& command : Commands()) {
    CHECK_THAT(page.output, ContainsSubstring(std::format("hostctl {}", command.name)));
    for (const OptionSpec& option : command.options)
      CHECK_THAT(page.output, ContainsSubstring(std::string(option.name)));
  }
  for (const ExitCodeMeaning& row : kExitCodes)
    CHECK_THAT(page.output, ContainsSubstring(std::string(row.meaning)));
}

TEST_CASE("docs/cli.md has the table of exit codes, and every verb and option") {
  Result<std::string> page = ReadFile(HOSTOS_SOURCE_DIR "/docs/cli.md");
  REQUIRE(page);
  for (const ExitCodeMeaning& row : kExitCodes)
    CHECK_THAT(*page,
               ContainsSubstring(std::format("\n| {} | {} |", Number(row.code), row.meaning)));
  // What is refused of a release, and with which code, is said once.
  const auto update = std::ranges::find(Commands(), Verb::kUpdate, &Command::verb);
  for (const ExitUse& use : update->exits)
    if (use.code == ExitCode::kNotTrusted || use.code == ExitCode::kNotSupported)
      CHECK_THAT(*page, ContainsSubstring(std::format("{}: {}", Number(use.code), use.meaning)));
  for (const Command& command : Commands()) {
    CHECK_THAT(*page, ContainsSubstring(std::format("`hostctl {}", command.name)));
    for (const OptionSpec& option : command.options)
      CHECK_THAT(*page, ContainsSubstring(std::string(option.name)));
  }
}

// What a real bash offers when TAB is pressed at the end of `line`.
std::set<std::string> Completed(const std::string& line) {
  TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "completion", BashCompletion(HostctlManual())));
  REQUIRE(WriteFileAtomically(dir / "line", line));
  // The words as readline splits them: '=' is a word of its own.
  const CommandResult ran = Shell("cd " + dir.path() +
                                  " && bash -c '. ./completion || exit 1\n"
                                  "line=$(cat line; echo x); line=${line%x}\n"
                                  "COMP_LINE=$line COMP_POINT=${#line}\n"
                                  "read -ra COMP_WORDS <<<\"${line//=/ = }\"\n"
                                  "[[ $line == *[[:space:]] ]] && COMP_WORDS+=(\"\")\n"
                                  "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
                                  "_hostctl\nprintf \"%s\\n\" \"${COMPREPLY[@]}\"'");
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  std::set<std::string> words;
  std::istringstream lines(ran.output);
  for (std::string word; std::getline(lines, word);)
    if (!word.empty()) words.insert(word);
  return words;
}

TEST_CASE("bash completes verbs and the options of each of them") {
  std::set<std::string> verbs;
  for (const Command& command : Commands())
    if (!command.hidden) verbs.insert(std::string(command.name.substr(0, command.name.find(' '))));
  std::set<std::string> offered = Completed("hostctl ");
  for (const std::string& verb : verbs) CHECK(offered.contains(verb));
  CHECK_FALSE(offered.contains("gate"));
  CHECK(Completed("hostctl st") == std::set<std::string>{"status"});
  CHECK(Completed("hostctl boot s") == std::set<std::string>{"selftest"});

  for (const Command& command : Commands()) {
    if (command.hidden) continue;
    offered = Completed(std::format("hostctl {} --", command.name));
    std::set<std::string> expected;
    for (std::span<const OptionSpec> options : {command.options, GlobalOptions()})
      for (const OptionSpec& option : options) expected.insert(std::string(option.name));
    CHECK(offered == expected);
  }
}

TEST_CASE("bash completes the values of options, with a space or an equals sign") {
  const std::set<std::string> slots = {"A", "B", "both"};
  CHECK(Completed("hostctl verify --slot ") == slots);
  CHECK(Completed("hostctl verify --slot=") == slots);
  CHECK(Completed("hostctl verify --slot=b") == std::set<std::string>{"both"});
  CHECK(Completed("hostctl --config com") == std::set<std::string>{"completion"});
  CHECK(Completed("hostctl status --config li") == std::set<std::string>{"line"});
  CHECK(Completed("hostctl --config status update --pl") == std::set<std::string>{"--plan"});
  CHECK(Completed("hostctl update --version ") == std::set<std::string>{});
  CHECK(Completed("hostctl update --from com") == std::set<std::string>{"completion"});
  CHECK(Completed("hostctl update --from=li") == std::set<std::string>{"line"});
  CHECK(Completed("hostctl help verif") == std::set<std::string>{"verify"});
}

}  // namespace
}  // namespace hostos

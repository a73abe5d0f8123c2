#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "updater/hostctl/command.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

Result<Invocation> Parse(std::vector<const char*> words) {
  return ParseCommandLine(words);
}

std::string Problem(std::vector<const char*> words) {
  Result<Invocation> parsed = Parse(std::move(words));
  REQUIRE_FALSE(parsed);
  REQUIRE(parsed.error().code == Code::kUsage);
  return parsed.error().message;
}

TEST_CASE("every option of every verb is accepted and sets its own field") {
  for (const Command& command : Commands()) {
    for (const OptionSpec& option : command.options) {
      const std::string name(option.name);
      CAPTURE(command.name, name);
      std::vector<const char*> words = {command.name.data(), name.c_str()};
      const std::string value(
          option.choices.empty() ? "A" : option.choices.substr(0, option.choices.find(' ')));
      if (option.value) words.push_back(value.c_str());
      if (command.verb == Verb::kUpdate && option.flag == &Invocation::json)
        words.push_back("--check");
      Result<Invocation> parsed = Parse(words);
      REQUIRE(parsed);
      CHECK(parsed->command->verb == command.verb);
      if (option.flag) CHECK((*parsed).*option.flag);
      if (option.value) CHECK((*parsed).*option.value == value);
    }
  }
}

TEST_CASE("options of every verb stand before or after it") {
  for (const Command& command : Commands()) {
    CAPTURE(command.name);
    CHECK(Parse({"--quiet", "--config", "f", command.name.data(), "--no-color"})->no_color);
    Result<Invocation> parsed = Parse({command.name.data(), "--quiet", "--config=f"});
    REQUIRE(parsed);
    CHECK(parsed->quiet);
    CHECK(parsed->config == "f");
  }
}

TEST_CASE("the option --help needs no verb and no sense in what surrounds it") {
  CHECK(Parse({"--help"})->help);
  CHECK(Parse({"-h"})->help);
  Result<Invocation> parsed = Parse({"update", "--check", "--plan", "--help"});
  REQUIRE(parsed);
  CHECK(parsed->command->verb == Verb::kUpdate);
}

TEST_CASE("the option --version is hostctl's own before a verb, and a release's after update") {
  CHECK(Parse({"--version"})->program_version);
  Result<Invocation> parsed = Parse({"update", "--version", "1.2.0"});
  REQUIRE(parsed);
  CHECK_FALSE(parsed->program_version);
  CHECK(parsed->version == "1.2.0");
}

TEST_CASE("what is wrong with a command line is said with what would be right") {
  CHECK_THAT(Problem({}), ContainsSubstring("a verb is missing"));
  CHECK_THAT(Problem({"upgrade"}), ContainsSubstring("unknown verb \"upgrade\"; the verbs are: "
                                                     "status, update, rollback"));
  CHECK_THAT(Problem({"status", "--check"}),
             ContainsSubstring("unknown option --check of status; it takes: --why, --json"));
  CHECK_THAT(Problem({"--why", "status"}), ContainsSubstring("unknown option --why before a verb"));
  CHECK_THAT(Problem({"status", "now"}), ContainsSubstring("unexpected \"now\" after status"));
  CHECK_THAT(Problem({"status", "--json=yes"}), ContainsSubstring("--json takes no value"));
  CHECK_THAT(Problem({"update", "--version"}), ContainsSubstring("--version needs a VERSION"));
  CHECK_THAT(Problem({"update", "--version="}), ContainsSubstring("--version needs a VERSION"));
  CHECK_THAT(Problem({"update", "--version", "--retry"}),
             ContainsSubstring("--version needs a VERSION"));
  CHECK_THAT(Problem({"update", "--version", "1", "--version", "2"}),
             ContainsSubstring("--version is given twice"));
  CHECK_THAT(Problem({"verify", "--slot", "C"}),
             ContainsSubstring("--slot must be one of A B both, found \"C\""));
  CHECK_THAT(Problem({"verify", "--slot", "A B"}), ContainsSubstring("found \"A B\""));
}

TEST_CASE("a verb of two words is both of them, with options before or after") {
  for (const auto& words : {std::vector{"boot", "selftest", "--reboot", "--quiet"},
                            std::vector{"--quiet", "boot", "selftest", "--reboot"}}) {
    Result<Invocation> parsed = Parse(words);
    REQUIRE(parsed);
    CHECK(parsed->command->verb == Verb::kSelfTest);
    CHECK(parsed->reboot);
    CHECK(parsed->quiet);
  }
  CHECK_THAT(Problem({"boot"}), ContainsSubstring("unknown verb \"boot\""));
  CHECK_THAT(Problem({"boot", "--reboot"}), ContainsSubstring("boot selftest"));
  CHECK_THAT(Problem({"selftest"}), ContainsSubstring("unknown verb"));
  CHECK_THAT(Problem({"boot", "selftest", "now"}),
             ContainsSubstring("unexpected \"now\" after boot selftest"));
  CHECK_THAT(Problem({"boot", "selftest", "--reboot", "--cancel"}),
             ContainsSubstring("exclude each other"));
}

TEST_CASE("options that contradict each other are refused") {
  CHECK_THAT(Problem({"update", "--check", "--plan"}), ContainsSubstring("exclude each other"));
  CHECK_THAT(Problem({"update", "--plan", "--reboot"}), ContainsSubstring("--reboot and --plan"));
  CHECK_THAT(Problem({"update", "--json"}), ContainsSubstring("needs --check or --plan"));
  CHECK_THAT(Problem({"status", "--quiet", "--json"}), ContainsSubstring("exclude each other"));
  CHECK(Parse({"update", "--plan", "--json"}));
}

TEST_CASE("the verb for a unit is run, but not listed") {
  CHECK(Parse({"gate"})->command->verb == Verb::kGate);
  CHECK_THAT(Problem({"x"}), !ContainsSubstring("gate"));
}

}  // namespace
}  // namespace hostos

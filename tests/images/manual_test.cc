#include "images/manual.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/images/small_release.h"
#include "tests/source/release_fixture.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("the manual of hostimage has no fault that mandoc can find") {
  const TempDir directory;
  WriteText(directory / "hostimage.1", ManPage(HostimageManual()));
  const CommandResult lint = Shell("mandoc -Tlint -Wwarning " + (directory / "hostimage.1"));
  CHECK(lint.output == "");
  CHECK(lint.status == 0);
}

TEST_CASE(
    "the manual of hostimage names every verb, option and exit code, as docs/publishing.md does") {
  const TempDir directory;
  const Manual manual = HostimageManual();
  WriteText(directory / "hostimage.1", ManPage(manual));
  const CommandResult page =
      Shell("mandoc -Tutf8 -Owidth=200 " + (directory / "hostimage.1") + " | sed 's/.\\x08//g'");
  REQUIRE(page.status == 0);
  const std::string docs = ReadText(HOSTOS_SOURCE_DIR "/docs/publishing.md") +
                           ReadText(HOSTOS_SOURCE_DIR "/docs/trust.md") +
                           ReadText(HOSTOS_SOURCE_DIR "/docs/images.md");
  for (const ManualCommand& command : manual.commands) {
    CHECK_THAT(page.output, ContainsSubstring(std::format("hostimage {}", command.name)));
    CHECK_THAT(docs, ContainsSubstring(std::format("hostimage {}", command.name)) ||
                         ContainsSubstring(std::format("| `{}", command.name)));
    for (const ManualOption& option : command.options)
      CHECK_THAT(page.output, ContainsSubstring(std::format("--{}", option.name)));
  }
  for (const ManualExit& exit : manual.exits) {
    CHECK_THAT(page.output, ContainsSubstring(std::string(exit.meaning)));
    CHECK_THAT(docs, ContainsSubstring(std::format("\n| {} | {} |", exit.code, exit.meaning)));
  }
}

TEST_CASE("bash completes hostimage's verbs, options, directories and roles") {
  const TempDir directory;
  WriteText(directory / "completion", BashCompletion(HostimageManual()));
  std::filesystem::create_directory(directory / "repository");
  const auto completed = [&](const std::string& line) {
    const CommandResult ran =
        Shell("cd " + directory.path() + " && bash -c '. ./completion\nCOMP_WORDS=(" + line +
              ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_hostimage\n"
              "printf \"%s\\n\" \"${COMPREPLY[@]}\"'");
    CHECK(ran.status == 0);
    return ran.output;
  };
  CHECK(completed("hostimage key") == "keygen\n");
  CHECK(completed("hostimage disk --def") == "--definitions\n");
  CHECK(completed("hostimage disk --repo \"\"") == "repository\n");
  CHECK(completed("hostimage commit --key com") == "completion\n");
  CHECK(completed("hostimage renew t") == "targets\ntimestamp\n");
  for (const ManualCommand& command : HostimageManual().commands)
    CHECK_THAT(completed("hostimage \"\""), ContainsSubstring(std::string(command.name) + "\n"));
}

TEST_CASE("hostimage says its version") {
  CHECK(Shell(HOSTIMAGE " --version").output == "hostimage " HOSTOS_VERSION "\n");
}

}  // namespace
}  // namespace hostos

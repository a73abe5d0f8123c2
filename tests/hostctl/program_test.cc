// The program itself, as it is installed: exit codes, streams, help without a machine.
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/shell.h"
#include "tests/temp_dir.h"
#include "updater/base/atomic_file.h"
#include "updater/hostctl/help.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

CommandResult Hostctl(const std::string& arguments) {
  return Shell(HOSTCTL " " + arguments);
}

TEST_CASE("help and version are results, and need no HostOS") {
  CommandResult ran = Hostctl("--help 2>/dev/null");
  CHECK(ran.status == 0);
  CHECK(ran.output == HelpText());
  for (const Command& command : Commands()) {
    ran = Hostctl(std::string(command.name) + " --help 2>/dev/null");
    CHECK(ran.status == 0);
    CHECK(ran.output == HelpText(command));
    CHECK(Hostctl("help " + std::string(command.name)).output == HelpText(command));
  }
  ran = Hostctl("help 2>/dev/null");
  CHECK(ran.status == 0);
  CHECK(ran.output == ManualText());
  CHECK_THAT(ran.output, StartsWith(HelpText()) && ContainsSubstring("/etc/hostctl/keys.d") &&
                             ContainsSubstring("NO_COLOR") &&
                             ContainsSubstring("\n      hostctl update --plan\n"));
  CHECK(Hostctl("help frob").status == 2);
  CHECK(Hostctl("help update status").status == 2);
  ran = Hostctl("--version");
  CHECK(ran.status == 0);
  CHECK(ran.output == "hostctl " HOSTOS_VERSION "\n");
}

TEST_CASE("a wrong command line exits with 2 and says where help is, on standard error") {
  CommandResult ran = Hostctl("status --frob >/dev/null");
  CHECK(ran.status == 2);
  CHECK_THAT(ran.output, StartsWith("hostctl: unknown option --frob of status") &&
                             ContainsSubstring("hostctl VERB --help"));
  CHECK(Hostctl("").status == 2);
}

TEST_CASE("what cannot be written to standard output is an error") {
  CommandResult ran = Hostctl("--help >/dev/full");
  CHECK(ran.status == 1);
  CHECK_THAT(ran.output, ContainsSubstring("standard output"));
}

TEST_CASE("on a machine that is no HostOS every verb that needs one exits with 11") {
  if (::geteuid() != 0) SKIP("takes root");
  if (::access("/dev/mapper/root", F_OK) == 0) SKIP("this may be a HostOS");
  for (const char* verb : {"status", "status --json", "verify", "rollback", "gate"}) {
    CommandResult ran = Hostctl(verb);
    CAPTURE(verb, ran.output);
    CHECK(ran.status == 11);
    CHECK_THAT(ran.output, StartsWith("hostctl: not a HostOS system: "));
  }
}

TEST_CASE("a user who is not root is told so, but gets help") {
  if (::geteuid() != 0) SKIP("takes root to become another user");
  const std::string as_nobody = "setpriv --reuid=65534 --clear-groups ";
  CommandResult ran = Shell(as_nobody + HOSTCTL " status");
  CHECK(ran.status == 1);
  CHECK_THAT(ran.output, StartsWith("hostctl: status must be run by root"));
  CHECK(Shell(as_nobody + HOSTCTL " status --help").status == 0);
}

TEST_CASE("a rescue says what it cannot use of its configuration, and goes on") {
  if (::geteuid() != 0) SKIP("takes root");
  if (::access("/dev/mapper/root", F_OK) == 0) SKIP("this may be a HostOS");
  const TempDir dir;
  const std::string file = dir / "hostctl.toml";
  REQUIRE(WriteFileAtomically(file, "[source]\nmirrors = [1]\n[update]\ntries = \"many\"\n"));
  const CommandResult ran = Hostctl("rescue --config " + file);
  CHECK(ran.status == 11);  // this is no HostOS; a configuration would be 2
  CHECK_THAT(ran.output, ContainsSubstring(file + ":2: unknown key mirrors in [source]") &&
                             ContainsSubstring(file + ":4: [update] tries must be"));
  CHECK(Hostctl("rescue --config /absent/file").status == 11);
}

TEST_CASE("a configuration file that was asked for must be there") {
  if (::geteuid() != 0) SKIP("takes root");
  CommandResult ran = Hostctl("health --config /absent/file");
  CHECK(ran.status == 2);
  CHECK_THAT(ran.output, StartsWith("hostctl: --config /absent/file: No such file"));
}

}  // namespace
}  // namespace hostos

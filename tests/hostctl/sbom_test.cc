#include "updater/hostctl/sbom.h"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/shell.h"
#include "tests/temp_dir.h"
#include "tests/text_file.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("sbom reads the file of the format that was asked for") {
  const TempDir root;
  WriteText(root / "usr/share/sbom/hostos.cdx.json", "{1}\n");
  WriteText(root / "usr/share/sbom/hostos.spdx.json", "{2}\n");
  CHECK(ReadSbom(root.path(), "cyclonedx").value() == "{1}\n");
  CHECK(ReadSbom(root.path(), "spdx").value() == "{2}\n");
}

TEST_CASE("a release without an SBOM is said to have none") {
  const TempDir root;
  const Result<std::string> none = ReadSbom(root.path(), "spdx");
  REQUIRE_FALSE(none);
  CHECK_THAT(none.error().message, ContainsSubstring("hostos.spdx.json: this release has no SBOM"));
  if (::access("/usr/share/sbom/hostos.cdx.json", F_OK) == 0) SKIP("this is a HostOS");
  const CommandResult ran = Shell(HOSTCTL " sbom");
  CHECK(ran.status == 1);
  CHECK_THAT(ran.output, ContainsSubstring("hostctl: /usr/share/sbom/hostos.cdx.json: this rel"));
  CHECK(Shell(HOSTCTL " sbom --format xml").status == 2);
}

}  // namespace
}  // namespace hostos

#include "images/sbom/dpkg.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

using namespace hostos;
using Catch::Matchers::ContainsSubstring;

static const std::string kGood =
    "Package: zlib1g\nStatus: install ok installed\nVersion: 1:1.3-1\nArchitecture: amd64\n"
    "Source: zlib (1:1.3-1~x)\nDescription: short\n long\n .\n";

TEST_CASE("the packages of a status file come sorted, with their sources") {
  const auto packages = ParseStatus(
      kGood + "\n" + "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n" +
      "Package: half\nStatus: install ok half-installed\nVersion: 1\n\n" +
      "Package: bash\nStatus: install ok installed\nVersion: 5.2-1\nArchitecture: amd64\n"
      "Built-Using: glibc (= 2.41-1), \n zlib (= 1:1.3)\nStatic-Built-Using: glibc (= 2.41-1)\n");
  REQUIRE(packages);
  REQUIRE(packages->size() == 2);
  const DebianPackage &bash = packages->at(0), &zlib = packages->at(1);
  CHECK(bash.name == "bash");
  CHECK(bash.source == DebianSource{"bash", "5.2-1"});
  CHECK(bash.built_using == std::vector<DebianSource>{{"glibc", "2.41-1"}, {"zlib", "1:1.3"}});
  CHECK(zlib.source == DebianSource{"zlib", "1:1.3-1~x"});
  CHECK(zlib.architecture == "amd64");
}

TEST_CASE("advisories about a signed kernel are those of linux") {
  const auto packages = ParseStatus(
      "Package: linux-image-6\nStatus: install ok installed\nVersion: 6.1-1\nArchitecture: amd64\n"
      "Source: linux-signed-amd64 (6.1+1)\nBuilt-Using: linux (= 6.1-1)\n");
  REQUIRE(packages);
  CHECK(packages->at(0).Described() == DebianSource{"linux", "6.1-1"});
}

TEST_CASE("a damaged status file is refused, and the line is named") {
  const std::string head = "Package: a\nStatus: install ok installed\n";
  const std::pair<std::string, std::string> cases[] = {
      {kGood + "\nnonsense\n", "line 10: expected a field"},
      {"Version: 1\nStatus: install ok installed\n", "line 1: expected a paragraph with a field"},
      {kGood + "\n" + head + "Architecture: all\n", "line 10: package 'a': version: expected"},
      {head + "Version: 1\n", "architecture: expected an architecture, found ''"},
      {head + "Version: 1 2\nArchitecture: all\n", "version: expected a version, found '1 2'"},
      {head + "Version: 1\x01\nArchitecture: all\n", "version: expected a version"},
      {head + "Version: 1\nArchitecture: all\nSource: b (\n", "source: expected NAME"},
      {head + "Version: 1\nArchitecture: all\nBuilt-Using: b\n", "built-using: expected NAME"},
      {head + "Version: 1\nVersion: 2\nArchitecture: all\n", "the field Version once"},
      {kGood + "\n" + kGood, "expected package zlib1g:amd64 once"},
      {"Package: A_b\nStatus: install ok installed\n", "package: expected a name"},
  };
  for (const auto& [status, message] : cases) {
    const auto packages = ParseStatus(status);
    REQUIRE_FALSE(packages);
    CHECK_THAT(packages.error().message, ContainsSubstring(message));
  }
}

TEST_CASE("a status file has a bound on its packages") {
  std::string status;
  for (size_t i = 0; i <= kMaxPackages; i++)
    status += std::format(
        "Package: p{}\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n", i);
  const auto packages = ParseStatus(status);
  REQUIRE_FALSE(packages);
  CHECK_THAT(packages.error().message, ContainsSubstring("at most 20000 packages"));
}

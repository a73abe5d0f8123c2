#include "images/sbom/changelog.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "images/sbom/source_changes.h"
#include "tests/temp_dir.h"
#include "tests/text_file.h"

using namespace hostos;
using Catch::Matchers::ContainsSubstring;

namespace {

// Three entries, as Debian's are.
const std::string kThree =
    "openssl (3.5.9-1~deb13u1) trixie; urgency=medium\n\n  * Import 3.5.9\n\n"
    " -- Sebastian A. <seb@example.org>  Sat, 03 Oct 2026 18:00:50 +0200\n\n"
    "openssl (3.5.7-1~deb13u3) trixie-security; urgency=HIGH (security), binary-only=no\n\n"
    "  * CVE-2026-84782 (\"Stale Buffer\")\n    (CVE-2026-35189, CVE-2026-84782)\n"
    "  [ Somebody ]\n\n  * CVE-2026-42772-and CVE-2026-1 and CVE-2026-54873.\n"
    " -- Sebastian A. <seb@example.org>  Tue, 9 Sep 2026 22:10:28 +0200\n\n"
    "openssl (3.0.0-1) unstable; urgency=low\n\n  * CVE-2023-1111\n\n"
    " -- Sebastian A. <seb@example.org>  Sun, 01 Jan 2023 00:00:00 +0000\n\n"
    "# Older entries have been removed from this changelog.\n";

DebianPackage Package(const std::string& name, DebianSource source,
                      std::vector<DebianSource> built_using = {}) {
  return {.name = name,
          .version = source.version,
          .architecture = "amd64",
          .maintainer = {},
          .installed_size = 0,
          .source = std::move(source),
          .built_using = std::move(built_using)};
}

}  // namespace

TEST_CASE("a changelog says which version named which CVEs, and when") {
  const auto entries = ParseChangelog(kThree, "2020-01-01");
  REQUIRE(entries);
  REQUIRE(entries->size() == 3);
  CHECK(entries->at(0).cves.empty());
  const ChangelogEntry& fix = entries->at(1);
  CHECK(fix.name == "openssl");
  CHECK(fix.version == "3.5.7-1~deb13u3");
  CHECK(fix.urgency == "high");
  CHECK(fix.date == "2026-09-09");
  CHECK(fix.cves == std::vector<std::string>{"CVE-2026-35189", "CVE-2026-42772", "CVE-2026-54873",
                                             "CVE-2026-84782"});
  CHECK(entries->at(2).date == "2023-01-01");
}

TEST_CASE("a changelog is read back to a date, and its newest entry in any case") {
  CHECK(ParseChangelog(kThree, "2026-09-09")->size() == 2);
  CHECK(ParseChangelog(kThree, "2026-09-10")->size() == 1);
  CHECK(ParseChangelog(kThree, "2027-01-01")->size() == 1);
  CHECK(ParseChangelog(kThree + "what is this?\n", "2026-09-09"));
}

TEST_CASE("a damaged changelog is refused, and the line is named") {
  const auto with = [](const std::string& what, const std::string& other) {
    std::string text = kThree;
    return text.replace(text.find(what), what.size(), other);
  };
  for (const auto& [text, expected] : {
           std::pair(std::string(), "expected a changelog, found nothing"),
           std::pair(std::string("# a comment\n"), "found nothing"),
           std::pair(kThree.substr(0, 60), "found the end"),
           std::pair(with("openssl (", "openssl ["), "line 1: expected PACKAGE (VERSION)"),
           std::pair(with("3.5.9-1~deb13u1", "3.5 9"), "line 1: expected PACKAGE (VERSION)"),
           std::pair(with("urgency", "priority"), "line 1: expected PACKAGE (VERSION)"),
           std::pair(with("; urgency=medium", ""), "line 1: expected PACKAGE (VERSION)"),
           std::pair(with("  * Import", "* Import"), "line 3: expected two spaces before a change"),
           std::pair(with("03 Oct 2026", "03 Foo 2026"), "line 5: expected  -- NAME <MAIL>"),
           std::pair(with("03 Oct 2026", "2026-10-03"), "line 5: expected  -- NAME <MAIL>"),
           std::pair(with("<seb@example.org>", "seb"), "line 5: expected  -- NAME <MAIL>"),
           std::pair(kThree + "what is this?\n", "line 23: expected PACKAGE (VERSION)"),
       }) {
    const auto entries = ParseChangelog(text, "2020-01-01");
    REQUIRE_FALSE(entries);
    CHECK_THAT(entries.error().message, ContainsSubstring(expected));
  }
}

TEST_CASE("the changes of a root's sources are those of their changelogs up to what is in it") {
  const TempDir directory;
  WriteText(directory / "openssl", kThree);
  const std::vector<DebianPackage> packages = {Package("libssl3", {"openssl", "3.5.7-1~deb13u3"}),
                                               Package("own", {"own", "1"})};
  const auto changes = DescribeChanges(packages, directory.path(), "2020-01-01");
  REQUIRE(changes);
  REQUIRE(changes->size() == 2);
  const SourceChanges& openssl = changes->at(0);
  CHECK(openssl.version == "3.5.7-1~deb13u3");
  CHECK(openssl.reaches == "3.0.0-1");
  REQUIRE(openssl.fixes.size() == 2);
  CHECK(openssl.fixes[0].cves.size() == 4);
  CHECK(changes->at(1).name == "own");
  CHECK(changes->at(1).reaches.empty());

  const auto missing = DescribeChanges(packages, directory / "no", "2020-01-01");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Code::kNotFound);
  const auto other =
      DescribeChanges({Package("libssl3", {"openssl", "4"})}, directory.path(), "2020-01-01");
  REQUIRE_FALSE(other);
  CHECK_THAT(other.error().message,
             ContainsSubstring("/openssl: expected an entry openssl (4), as in the root, found "
                               "openssl (3.5.9-1~deb13u1) first"));
}

TEST_CASE("a signed kernel has the changes of linux, in its version") {
  const TempDir directory;
  std::string text = kThree;
  for (const auto& [what, with] :
       {std::pair("openssl (3.5.9-1~deb13u1)", "linux-signed-amd64 (6.12.118+1)"),
        std::pair("Import 3.5.9", "CVE-2026-99272"),
        std::pair("openssl (3.5.7-1~deb13u3)", "linux (6.12.117-1)"),
        std::pair("openssl (3.0.0-1)", "linux (6.1-1)")})
    text.replace(text.find(what), std::string(what).size(), with);
  WriteText(directory / "linux-signed-amd64", text);
  const DebianSource source = {"linux-signed-amd64", "6.12.118+1"};
  const auto changes =
      DescribeChanges({Package("linux-image-6.12", source, {{"linux", "6.12.118-1"}}),
                       Package("linux-image", source)},
                      directory.path(), "2024-01-01");
  REQUIRE(changes);
  REQUIRE(changes->size() == 1);
  const SourceChanges& kernel = changes->at(0);
  CHECK(kernel.name == "linux");
  CHECK(kernel.version == "6.12.118-1");
  CHECK(kernel.reaches == "6.12.117-1");
  REQUIRE(kernel.fixes.size() == 2);
  CHECK(kernel.fixes[0].version == "6.12.118-1");
  CHECK(kernel.fixes[0].cves == std::vector<std::string>{"CVE-2026-99272"});
}

TEST_CASE("of a source in two versions the older counts") {
  const auto sources =
      DescribedSources({Package("a", {"gcc", "14.2-10"}), Package("b", {"gcc", "14.2-9"}),
                        Package("c", {"gcc", "14.2-11"})});
  REQUIRE(sources.size() == 1);
  CHECK(sources.at("gcc").name == "b");
}

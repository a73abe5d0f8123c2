#include "images/sbom/tracker.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/temp_dir.h"
#include "tests/text_file.h"

using namespace hostos;
using Catch::Matchers::ContainsSubstring;

namespace {

// As the tracker exports it.
const std::string kTracker = R"({
 "linux": {
  "CVE-2026-2000": {"description": "x {\"releases\": 1}", "debianbug": 1145172, "scope": "local",
   "releases": {
    "bookworm": {"status": "resolved", "repositories": {"bookworm": "6.1.1-1"}, "fixed_version": "6.1.1-1", "urgency": "low"},
    "trixie": {"status": "open", "repositories": {"trixie": "6.12.1-1", "trixie-security": "6.12.2-1"},
               "urgency": "not yet assigned", "nodsa": "Minor issue", "nodsa_reason": ""}}},
  "CVE-2026-1000": {"releases": {"trixie": {"status": "resolved", "fixed_version": "6.12.118-1", "urgency": "high"}}},
  "TEMP-0000000-ABCDEF": {"releases": {"sid": {"status": "open"}}}
 },
 "bash": {"CVE-2026-3000": {"releases": {"trixie": {"status": "undetermined", "urgency": "unimportant"}}}},
 "other": {"CVE-2026-4000": {"releases": {"trixie": {"status": "open"}}}}
})";

Result<std::vector<TrackerIssue>> Read(const std::string& text,
                                       const std::string& suite = "trixie") {
  const TempDir directory;
  WriteText(directory / "tracker.json", text);
  return ReadTracker(directory / "tracker.json", suite, {"linux", "bash", "absent"});
}

std::string Replaced(const std::string& what, const std::string& with) {
  std::string text = kTracker;
  return text.replace(text.find(what), what.size(), with);
}

}  // namespace

TEST_CASE("the tracker's issues of some sources in one suite come by source and id") {
  const auto issues = Read(kTracker);
  REQUIRE(issues);
  REQUIRE(issues->size() == 3);
  const TrackerIssue &bash = issues->at(0), &fixed = issues->at(1), &open = issues->at(2);
  CHECK(bash.source == "bash");
  CHECK(bash.status == "undetermined");
  CHECK(bash.urgency == "unimportant");
  CHECK(fixed.id == "CVE-2026-1000");
  CHECK(fixed.fixed_version == "6.12.118-1");
  CHECK(open.id == "CVE-2026-2000");
  CHECK(open.status == "open");
  CHECK(open.nodsa == "Minor issue");
  CHECK(open.fixed_version.empty());
  CHECK(Read(kTracker, "sid")->at(0).id == "TEMP-0000000-ABCDEF");
}

TEST_CASE("what is no whole export of the tracker is one error that says why") {
  for (const auto& [text, expected] : {
           std::pair(std::string(), "byte 1: "),
           std::pair(kTracker.substr(0, kTracker.size() / 2), "unexpected end of input"),
           std::pair(kTracker.substr(0, kTracker.size() - 1), "unexpected end of input"),
           std::pair(kTracker + "{", "byte "),
           std::pair(std::string("<html>Not found</html>"), "byte 1: "),
           std::pair(std::string("[]"),
                     "expected source packages with their issues, found an array"),
           std::pair(std::string("7"), "found a number"),
           std::pair(std::string("{}"), "expected issues of Debian's suites, found none"),
           std::pair(std::string(R"({"linux": ["CVE-2026-1000"]})"), "found an array"),
           std::pair(std::string(R"({"linux": {"CVE-2026-1000": "open"}})"), "found a text"),
           std::pair(Replaced("\"open\"", "\"maybe\""),
                     "CVE-2026-2000 of linux: expected an issue"),
           std::pair(Replaced("6.12.118-1", "6 1"), "fixed in '6 1'"),
           std::pair(Replaced("CVE-2026-1000", "<b>"), "expected an issue that is"),
       }) {
    const auto issues = Read(text);
    REQUIRE_FALSE(issues);
    CHECK_THAT(issues.error().message, ContainsSubstring(expected));
    CHECK_THAT(issues.error().message, ContainsSubstring("/tracker.json: "));
  }
  const auto other = Read(kTracker, "forky");
  REQUIRE_FALSE(other);
  CHECK_THAT(other.error().message,
             ContainsSubstring("expected issues of forky, found those of bookworm, sid, trixie"));
  const TempDir directory;
  const auto missing = ReadTracker(directory / "no", "trixie", {});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Code::kNotFound);
}

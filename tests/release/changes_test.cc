#include "updater/release/changes.h"

#include <catch2/catch_test_macros.hpp>

using namespace hostos;

namespace {

const ReleaseChanges kChanges = {
    .version = "1.1.0",
    .since = "2023-12-01",
    .sources = {
        {.name = "linux",
         .version = "6.12.118-1",
         .reaches = "6.1.1-1",
         .fixes = {{"6.12.118-1", "2026-11-28", "high", {"CVE-2026-9001", "CVE-2026-99272"}},
                   {"6.12.117-1", "2026-11-20", "high", {"CVE-2026-9000"}}}},
        {.name = "openssl",
         .version = "3.5.9-1~deb13u1",
         .reaches = "3.0.11-1",
         .fixes = {{"3.5.7-1~deb13u3", "2026-09-29", "medium", {"CVE-2026-8000"}},
                   {"3.5.7-1~deb13u2", "2026-08-01", "high", {"CVE-2025-7000"}}}},
        {.name = "own", .version = "2", .reaches = "", .fixes = {}},
        {.name = "zlib", .version = "1:1.3-1", .reaches = "1:1.3-1", .fixes = {}}}};

// The same release with other versions.
ReleaseChanges With(std::vector<std::pair<std::string, std::string>> versions) {
  ReleaseChanges changes = {.version = "1.0.0", .since = "2023-12-01", .sources = {}};
  for (auto& [name, version] : versions)
    changes.sources.push_back({.name = name, .version = version, .reaches = version, .fixes = {}});
  return changes;
}

}  // namespace

TEST_CASE("what the packages of a release fixed comes back as it was written") {
  const std::string text = WriteChanges(kChanges);
  const Result<ReleaseChanges> read = ParseChanges(text);
  REQUIRE(read);
  CHECK(WriteChanges(*read) == text);
  CHECK(read->version == "1.1.0");
  CHECK(read->since == "2023-12-01");
  REQUIRE(read->sources.size() == 4);
  CHECK(read->sources[0].reaches == "6.1.1-1");
  CHECK(read->sources[0].fixes[1].date == "2026-11-20");
  CHECK(read->sources[0].fixes[1].urgency == "high");
  CHECK(read->sources[2].reaches.empty());
}

TEST_CASE("an update fixes what came after the old version, up to the new one") {
  const CveChanges changes = CompareChanges(With({{"linux", "6.12.117-1"},
                                                  {"openssl", "3.5.7-1~deb13u1"},
                                                  {"removed", "1"},
                                                  {"zlib", "1:1.3-1"}}),
                                            kChanges);
  REQUIRE(changes.fixed.size() == 2);
  CHECK(changes.back.empty());
  CHECK(changes.incomplete.empty());
  const CveChange &kernel = changes.fixed[0], &openssl = changes.fixed[1];
  CHECK(kernel.source == "linux");
  CHECK(kernel.from == "6.12.117-1");
  CHECK(kernel.to == "6.12.118-1");
  CHECK(kernel.cves == std::vector<std::string>{"CVE-2026-99272", "CVE-2026-9001"});
  CHECK(openssl.cves == std::vector<std::string>{"CVE-2026-8000", "CVE-2025-7000"});
  CHECK(openssl.urgency == "high");
  CHECK(CveChanges::Count(changes.fixed) == 4);
}

TEST_CASE("the most urgent changes come first, then those with most CVEs") {
  ReleaseChanges to = kChanges;
  for (SourceFix& fix : to.sources[0].fixes) fix.urgency = "medium";
  const auto from = With({{"linux", "6.12.100-1"}, {"openssl", "3.5.7-1~deb13u1"}});
  CHECK(CompareChanges(from, to).fixed[0].source == "openssl");
  to.sources[1].fixes[1].urgency = "nonsense";
  CHECK(CompareChanges(from, to).fixed[0].source == "linux");
}

TEST_CASE("packages that become older bring back what they had fixed") {
  const auto older = With({{"linux", "6.12.117-1"}, {"openssl", "3.5.9-1~deb13u1"}});
  const CveChanges changes = CompareChanges(kChanges, older);
  CHECK(changes.fixed.empty());
  REQUIRE(changes.back.size() == 1);
  CHECK(changes.back[0].from == "6.12.118-1");
  CHECK(changes.back[0].to == "6.12.117-1");
  CHECK(changes.back[0].cves == std::vector<std::string>{"CVE-2026-99272", "CVE-2026-9001"});
}

TEST_CASE("what a changelog does not reach, or nobody had, is said to be incomplete") {
  const CveChanges changes = CompareChanges(
      With({{"linux", "6.0-1"}, {"openssl", "3.0.11-1"}, {"own", "1"}, {"zlib", "1:1.3-1"}}),
      kChanges);
  CHECK(changes.incomplete == std::vector<std::string>{"linux", "own"});
  CHECK(changes.fixed.size() == 2);
}

TEST_CASE("a file of changes that is none, or has odd texts, is refused, and the field is named") {
  const std::string good = WriteChanges(kChanges);
  const auto with = [&](const std::string& what, const std::string& other) {
    std::string text = good;
    REQUIRE(text.contains(what));
    return text.replace(text.find(what), what.size(), other);
  };
  for (const auto& [text, expected] : {
           std::pair(std::string(), "expected"),
           std::pair(good.substr(0, good.size() / 2), "expected"),
           std::pair(std::string(kMaxChangesBytes + 1, ' '), "at most 1048576 bytes"),
           std::pair(std::string("[]"), "changes: expected an object"),
           std::pair(with("\"format\":1", "\"format\":2"), "changes.format: expected 1, found 2"),
           std::pair(with("1.1.0", "1 1"), "changes.version"),
           std::pair(with("2023-12-01", "yesterday"), "changes.since: expected a date"),
           std::pair(with("\"linux\"", "\"Li\\u001bnux\""), "[0].name: expected a source package"),
           std::pair(with("\"6.12.118-1\"", "\"6 1\""), "expected a version, found '6%201'"),
           std::pair(with("CVE-2026-99272", "CVE-2026-<b>"), ".cves: expected CVE-YEAR-NUMBER"),
           std::pair(with("\"high\"", "\"HIGH!\""), "urgency: expected a word"),
           std::pair(with("2026-11-28", "2026-11-2"), "date: expected a date"),
           std::pair(with("\"zlib\"", "\"own\""), "each once, by name, found own before own"),
           std::pair(with("\"sources\"", "\"others\""), "changes.sources: expected an array"),
       }) {
    const Result<ReleaseChanges> read = ParseChanges(text);
    REQUIRE_FALSE(read);
    INFO(read.error().message);
    CHECK(read.error().message.contains(expected));
  }
}

TEST_CASE("CVEs are told from other words, and are in the order of their years and numbers") {
  for (const char* cve : {"CVE-2026-1234", "CVE-1999-0001", "CVE-2026-123456789012"})
    CHECK(IsCve(cve));
  for (const char* other : {"", "CVE-", "CVE-2026-", "CVE-2026-123", "CVE-26-1234", "cve-2026-1234",
                            "CVE-2026-1234x", "CVE-2026-1234567890123", "CVE-2026_12345"})
    CHECK_FALSE(IsCve(other));
  CHECK(CveBefore("CVE-2025-99999", "CVE-2026-1000"));
  CHECK(CveBefore("CVE-2026-9999", "CVE-2026-10000"));
  CHECK_FALSE(CveBefore("CVE-2026-9999", "CVE-2026-9999"));
}

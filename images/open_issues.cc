#include "images/open_issues.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "images/commit_files.h"
#include "updater/base/clock.h"
#include "updater/release/debian_version.h"

namespace hostos {
namespace {

constexpr size_t kMaxDatabaseBytes = 64 << 20, kMaxIdentity = 1 << 20;

bool IsOpen(const TrackerIssue& issue, const std::string& version) {
  return issue.status != "resolved" || issue.fixed_version.empty() ||
         CompareDebianVersions(issue.fixed_version, version) > 0;
}

// What an operator can do about it.
std::string ActionFor(const OpenIssue& issue) {
  if (issue.status == "resolved") return "update to a release with " + issue.fixed_version;
  std::string action = "wait for a fixed version in Debian";
  if (!issue.urgency.empty()) action += "; urgency: " + issue.urgency;
  if (!issue.nodsa.empty()) action += "; no advisory: " + issue.nodsa;
  return action;
}

// Without the source: a scanner finds a package by this URL only if its own has all of it.
std::string ProductUrl(const OpenIssues& open, size_t which) {
  const DebianPackage& package = open.packages[which];
  return PackageUrl(open.identity, DebianSource{package.name, package.version},
                    package.architecture);
}

nlohmann::ordered_json Statement(const OpenIssues& open, const OpenIssue& issue) {
  using Json = nlohmann::ordered_json;
  const std::string source =
      PackageUrl(open.identity, DebianSource{issue.source, issue.version}, "source");
  Json products = Json::array();
  for (const size_t package : issue.packages)
    products.push_back({{"@id", ProductUrl(open, package)}});
  for (const size_t package : issue.parts)
    products.push_back(
        {{"@id", ProductUrl(open, package)}, {"subcomponents", {{{"@id", source}}}}});
  Json statement = {
      {"vulnerability",
       {{"@id", "https://security-tracker.debian.org/tracker/" + issue.id}, {"name", issue.id}}},
      {"products", std::move(products)},
      {"status", issue.undetermined() ? "under_investigation" : "affected"}};
  if (!issue.undetermined()) statement["action_statement"] = ActionFor(issue);
  return statement;
}

}  // namespace

Result<Identity> IdentityOf(const Repo& repo, const Commit& commit) {
  const std::string text = TRY(ReadFileOf(repo, commit, "/usr/lib/os-release", kMaxIdentity));
  return TRY_CONTEXT(commit.release.version, ParseIdentity(text));
}

Result<std::vector<DebianPackage>> PackagesOf(const Repo& repo, const Commit& commit) {
  const std::string path = std::string(kDpkgPath) + "/status";
  const std::string text = TRY(ReadFileOf(repo, commit, path, kMaxDatabaseBytes));
  return TRY_CONTEXT(commit.release.version, ParseStatus(text));
}

Result<OpenIssues> FindOpenIssues(const Repo& repo, const Commit& commit,
                                  const std::string& tracker, const std::string& suite) {
  OpenIssues open;
  open.identity = TRY(IdentityOf(repo, commit));
  open.packages = TRY(PackagesOf(repo, commit));
  std::map<DebianSource, OpenIssue> sources;  // what is open of them has the same packages
  std::set<std::string, std::less<>> names;
  for (size_t i = 0; i < open.packages.size(); i++) {
    const DebianPackage& package = open.packages[i];
    const DebianSource& described = package.Described();
    sources[described].packages.push_back(i);
    for (const DebianSource& used : package.built_using)
      if (used != described) sources[used].parts.push_back(i);
  }
  for (const auto& [source, ignored] : sources) names.insert(source.name);
  const std::string& own = open.identity.codename;
  if (suite.empty() && own.empty())
    return Fail(Code::kUsage, "{}: its os-release has no VERSION_CODENAME: give a --suite",
                commit.release.version);
  const std::vector<TrackerIssue> issues =
      TRY(ReadTracker(tracker, suite.empty() ? own : suite, names));
  for (const auto& [source, packages] : sources)
    for (const TrackerIssue& issue :
         std::ranges::equal_range(issues, source.name, {}, &TrackerIssue::source)) {
      if (!IsOpen(issue, source.version)) continue;
      OpenIssue& found = open.issues.emplace_back(packages);
      static_cast<TrackerIssue&>(found) = issue;
      found.version = source.version;
    }
  return open;
}

std::string OpenVex(const OpenIssues& open, uint64_t timestamp) {
  const std::string& vendor = open.identity.vendor;
  nlohmann::ordered_json document = {{"@context", "https://openvex.dev/ns/v0.2.0"},
                                     {"@id", ""},
                                     {"author", vendor.empty() ? open.identity.name : vendor},
                                     {"timestamp", FormatTimeIso(timestamp)},
                                     {"version", 1},
                                     {"tooling", "hostimage"},
                                     {"statements", nlohmann::ordered_json::array()}};
  for (const OpenIssue& issue : open.issues)
    document["statements"].push_back(Statement(open, issue));
  const auto text = [&] {
    return document.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  };
  document["@id"] = "urn:uuid:" + UuidOf(text());
  return text();
}

}  // namespace hostos

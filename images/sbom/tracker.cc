#include "images/sbom/tracker.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <tuple>

#include "updater/base/text.h"
#include "updater/base/unique_fd.h"
#include "updater/release/debian_version.h"

namespace hostos {
namespace {

using TrackerJson = nlohmann::json;

// {source: {issue: {"releases": {suite: {"status": ..., "fixed_version": ...}}}}}
class TrackerHandler : public TrackerJson::json_sax_t {
 public:
  TrackerHandler(std::string suite, const std::set<std::string, std::less<>>& sources)
      : suite_(std::move(suite)), sources_(sources) {}

  bool null() override { return Value("null"); }
  bool boolean(bool) override { return Value("true or false"); }
  bool number_integer(number_integer_t) override { return Value("a number"); }
  bool number_unsigned(number_unsigned_t) override { return Value("a number"); }
  bool number_float(number_float_t, const string_t&) override { return Value("a number"); }
  bool binary(binary_t&) override { return Value("bytes"); }
  bool string(string_t& text) override {
    if (!Value("a text")) return false;
    if (depth_ != kField || !Wanted()) return true;
    const std::string& field = names_[kField];
    for (const auto& [name, member] : {std::pair("status", &TrackerIssue::status),
                                       {"fixed_version", &TrackerIssue::fixed_version},
                                       {"urgency", &TrackerIssue::urgency},
                                       {"nodsa", &TrackerIssue::nodsa}})
      if (field == name) issue_.*member = text;
    return true;
  }
  bool start_array(size_t) override {
    depth_++;
    return depth_ > kReleases || Refuse("an array");
  }
  bool end_array() override {
    depth_--;
    return true;
  }
  bool start_object(size_t) override {
    depth_++;
    if (depth_ == kField) issue_ = {.source = names_[kSource], .id = names_[kIssue]};
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ > kField) return true;
    names_[depth_] = std::move(name);
    if (depth_ == kSuite && names_[kReleases] == "releases" && suites.size() < kMaxSuites)
      suites.insert(names_[kSuite]);
    return true;
  }
  bool end_object() override {
    const bool keep = depth_ == kField && Wanted();
    depth_--;
    return !keep || Keep();
  }
  bool parse_error(size_t position, const std::string&,
                   const TrackerJson::exception& error) override {
    problem = std::format("byte {}: {}", position, error.what());
    return false;
  }

  std::vector<TrackerIssue> issues;
  std::set<std::string> suites;
  std::string problem;

 private:
  static constexpr size_t kSource = 1, kIssue = 2, kReleases = 3, kSuite = 4, kField = 5;
  static constexpr size_t kMaxSuites = 64, kMaxIssues = 1'000'000;

  bool Wanted() const {
    return names_[kReleases] == "releases" && names_[kSuite] == suite_ &&
           sources_.contains(names_[kSource]);
  }
  // At the places that the levels above are, only objects are.
  bool Value(const char* what) { return depth_ >= kReleases || Refuse(what); }
  bool Refuse(const char* what) {
    problem = std::format("expected source packages with their issues, found {}", what);
    return false;
  }
  bool Keep() {
    constexpr std::array kKnown = {"open", "resolved", "undetermined"};
    const auto is_id = [](char c) {
      return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    };
    if (std::ranges::contains(kKnown, issue_.status) && std::ranges::all_of(issue_.id, is_id) &&
        (issue_.fixed_version.empty() || IsDebianVersion(issue_.fixed_version)) &&
        issues.size() < kMaxIssues) {
      issues.push_back(std::move(issue_));
      return true;
    }
    problem = std::format(
        "{} of {}: expected an issue that is open, resolved or undetermined, found '{}', fixed in "
        "'{}'",
        issue_.id, issue_.source, issue_.status, issue_.fixed_version);
    return false;
  }

  std::string suite_;
  const std::set<std::string, std::less<>>& sources_;
  size_t depth_ = 0;
  std::array<std::string, kField + 1> names_;
  TrackerIssue issue_;
};

}  // namespace

Result<std::vector<TrackerIssue>> ReadTracker(const std::string& path, const std::string& suite,
                                              const std::set<std::string, std::less<>>& sources) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) return FailErrno(path);
  struct stat status;
  if (::fstat(::fileno(file.get()), &status) < 0) return FailErrno(path);
  if (!S_ISREG(status.st_mode) || static_cast<uint64_t>(status.st_size) > kMaxTrackerBytes)
    return Fail(Code::kFailed, "{}: expected a file of at most {} bytes, found another", path,
                kMaxTrackerBytes);
  TrackerHandler handler(suite, sources);
  constexpr const char* kNext =
      "download https://security-tracker.debian.org/tracker/data/json once more";
  if (!TrackerJson::sax_parse(file.get(), &handler))
    return Fail(Code::kFailed, "{}: {}; {}", path, handler.problem, kNext);
  if (handler.suites.empty())
    return Fail(Code::kFailed, "{}: expected issues of Debian's suites, found none; {}", path,
                kNext);
  if (!handler.suites.contains(suite))
    return Fail(Code::kFailed, "{}: expected issues of {}, found those of {}", path, suite,
                Joined(handler.suites));
  std::ranges::sort(handler.issues, {},
                    [](const TrackerIssue& issue) { return std::tie(issue.source, issue.id); });
  return std::move(handler.issues);
}

}  // namespace hostos

// The verbs that say what is in a release, and what is different in the next. They change nothing
// in the repository.
#include <algorithm>

#include "images/diff_text.h"
#include "images/notes.h"
#include "images/open_issues.h"
#include "images/release_diff.h"
#include "images/verb_options.h"
#include "images/verbs.h"
#include "updater/base/atomic_file.h"
#include "updater/base/clock.h"

namespace hostos {
namespace {

// diff --------------------------------------------------------------------------------------------

constexpr Option kDiffOptions[] = {
    kRepo,
    {"all", "", Times::kAtMostOnce, "long lists, too, to their ends"},
    kArchitecture,
    kJson,
};

Result<> RunDiff(const Arguments& arguments) {
  const Repo repo = TRY(Repo::Open(arguments.Get("repo")));
  const std::string architecture = ArchitectureFrom(arguments);
  const Commit from = TRY(FindRelease(repo, architecture, arguments.operand(0)));
  const Commit to = TRY(FindRelease(repo, architecture, arguments.operand(1)));
  const ReleaseDiff diff = TRY(CompareReleases(repo, from, to));
  if (arguments.Has("json"))
    Print(DiffJson(diff));
  else
    Print(DiffText(diff, arguments.Has("all")));
  return {};
}

// vex ---------------------------------------------------------------------------------------------

constexpr Option kTracker = {"tracker", "FILE", Times::kOnce,
                             "from https://security-tracker.debian.org/tracker/data/json"};

constexpr Option kVexOptions[] = {
    kRepo,
    kTracker,
    {"output", "FILE", Times::kOnce, "the OpenVEX document; an existing one is replaced"},
    {"suite", "NAME", Times::kAtMostOnce, "of Debian (default: that of the release)"},
    {"timestamp", "SECONDS", Times::kAtMostOnce,
     "time of the document (default: $SOURCE_DATE_EPOCH, else now)"},
    kArchitecture,
    kJson,
};

Result<> RunVex(const Arguments& arguments) {
  const uint64_t now = SystemClock().Now(), time = TRY(Timestamp(arguments, now)).value_or(now);
  const Repo repo = TRY(Repo::Open(arguments.Get("repo")));
  const Commit commit = TRY(FindRelease(repo, ArchitectureFrom(arguments), arguments.operand()));
  const OpenIssues open =
      TRY(FindOpenIssues(repo, commit, arguments.Get("tracker"), arguments.GetOr("suite", "")));
  const std::string& output = arguments.Get("output");
  TRY(WriteFileAtomically(output, OpenVex(open, time)));
  const auto undetermined =
      static_cast<size_t>(std::ranges::count_if(open.issues, &OpenIssue::undetermined));
  const size_t affected = open.issues.size() - undetermined;
  if (arguments.Has("json"))
    Print(Json{{"output", output}, {"affected", affected}, {"under_investigation", undetermined}});
  else
    Print(std::format("{}: {} issues of {} affect it, {} more are under investigation\n", output,
                      affected, commit.release.version, undetermined));
  return {};
}

// notes -------------------------------------------------------------------------------------------

constexpr Option kNotesOptions[] = {
    kRepo,
    {"output", "FILE", Times::kOnce, "the page (HTML); an existing one is replaced"},
    {"since", "VERSION", Times::kAtMostOnce, "the release before: what changed since then"},
    {"tracker", "FILE", Times::kAtMostOnce, "as for vex: what is open"},
    {"suite", "NAME", Times::kAtMostOnce, "of Debian (default: that of the release)"},
    kArchitecture,
};

Result<> RunNotes(const Arguments& arguments) {
  const Repo repo = TRY(Repo::Open(arguments.Get("repo")));
  const std::string architecture = ArchitectureFrom(arguments);
  const Commit commit = TRY(FindRelease(repo, architecture, arguments.operand()));
  ReleaseNotes notes = TRY(DescribeRelease(repo, commit));
  if (arguments.Has("since")) {
    const Commit before = TRY(FindRelease(repo, architecture, arguments.Get("since")));
    notes.changes = TRY(CompareReleases(repo, before, commit));
  }
  if (arguments.Has("tracker"))
    notes.open =
        TRY(FindOpenIssues(repo, commit, arguments.Get("tracker"), arguments.GetOr("suite", "")));
  const std::string page = NotesPage(notes);
  TRY(WriteFileAtomically(arguments.Get("output"), page));
  Print(std::format("{}: {}\n", arguments.Get("output"), FileSize(page.size())));
  return {};
}

constexpr Subcommand kDescribeVerbs[] = {
    {"diff", "FROM TO", "Says what is different in a later release: packages, CVEs, files, units.",
     kDiffOptions, RunDiff},
    {"vex", "VERSION", "Writes which issues of Debian's security tracker a release has.",
     kVexOptions, RunVex},
    {"notes", "VERSION", "Writes a page for people: what a release is, what it fixes and changes.",
     kNotesOptions, RunNotes},
};

}  // namespace

std::span<const Subcommand> DescribeVerbs() {
  return kDescribeVerbs;
}

}  // namespace hostos

#include "images/notes.h"

#include <algorithm>
#include <map>
#include <ranges>

#include "images/commit_files.h"
#include "images/diff_text.h"
#include "updater/base/clock.h"
#include "updater/base/printable.h"
#include "updater/base/text.h"

namespace hostos {
namespace {

constexpr size_t kLargest = 12, kFilesShown = 15;

// Printed in two colors of its own, light and dark; every table fits a phone.
constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2024;--dim:#5b6570;--line:#d9dee3;--soft:#f3f5f7;--link:#0b57a4;
--good:#1a6b3c;--goodbg:#e3f3e9;--warn:#8a4b00;--warnbg:#fdf0dc;--bar:#8fb4d9}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e4e8eb;--dim:#9aa5af;--line:#333a41;--soft:#1d2226;
--link:#7db8f0;--good:#86d3a4;--goodbg:#16301f;--warn:#f0bd7a;--warnbg:#3a2a12;--bar:#3f6690}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1.5rem 1rem 3rem;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .3rem}
h2{font-size:1.25rem;margin:2.2rem 0 .6rem;padding-top:.6rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
a{color:var(--link)}p{margin:.4rem 0}
.dim{color:var(--dim)}
code,pre,.hash{font:.875em/1.5 ui-monospace,monospace;overflow-wrap:anywhere}
pre{background:var(--soft);padding:.7rem;border-radius:6px;white-space:pre-wrap}
.chips{display:flex;flex-wrap:wrap;gap:.5rem;margin:1rem 0 0;padding:0;list-style:none}
.chips li{background:var(--soft);border-radius:6px;padding:.3rem .7rem}
.chips .good{background:var(--goodbg);color:var(--good)}.chips .warn{background:var(--warnbg);color:var(--warn)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.5rem 0}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;vertical-align:top;padding:.28rem .8rem .28rem 0;border-bottom:1px solid var(--line);
overflow-wrap:anywhere}
th{color:var(--dim);font-weight:600}.num{text-align:right;white-space:nowrap}
.cves{display:flex;flex-wrap:wrap;gap:.1rem .9rem;font-size:.92rem;margin:.2rem 0 .8rem}
.cves a,.cves span{white-space:nowrap}
.bar{display:block;width:min(calc(var(--part)*15rem),calc(var(--part)*25vw));height:.5rem;margin-top:.5em;background:var(--bar);border-radius:3px;min-width:2px}
details{margin:.5rem 0}summary{cursor:pointer;font-weight:600}
@media(max-width:36rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}}
@media print{body{max-width:none;padding:0;font-size:11px}a{color:inherit;text-decoration:none}h2{break-after:avoid}}
)";

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : Printable(text)) {
    if (c == '&')
      escaped += "&amp;";
    else if (c == '<')
      escaped += "&lt;";
    else if (c == '>')
      escaped += "&gt;";
    else if (c == '"')
      escaped += "&quot;";
    else
      escaped += c;
  }
  return escaped;
}

std::string Count(size_t number, std::string_view noun) {
  return std::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

// Only ids that the tracker has a page for: it says more than this page could.
std::string Issue(const std::string& id) {
  return std::format("<a href=\"https://security-tracker.debian.org/tracker/{0}\">{0}</a>",
                     Escaped(id));
}

std::string FromTo(const std::string& from, const std::string& to) {
  if (from.empty()) return Escaped(to) + " <span class=dim>(new)</span>";
  if (to.empty()) return Escaped(from) + " <span class=dim>(removed)</span>";
  return Escaped(from) + " → " + Escaped(to);
}

class Page {
 public:
  template <class... Args>
  void Add(std::format_string<Args...> format, Args&&... args) {
    text_ += std::format(format, std::forward<Args>(args)...);
  }
  // The cells are HTML already. Columns whose heading ends in '#' hold numbers.
  void Table(const std::vector<std::string>& headings,
             const std::vector<std::vector<std::string>>& rows) {
    text_ += "<div class=scroll><table><thead><tr>";
    std::vector<std::string> classes;
    for (const std::string& heading : headings) {
      const bool number = heading.ends_with('#');
      classes.emplace_back(number ? " class=num" : "");
      Add("<th{}>{}</th>", classes.back(), heading.substr(0, heading.size() - number));
    }
    text_ += "</tr></thead><tbody>\n";
    for (const std::vector<std::string>& row : rows) {
      text_ += "<tr>";
      for (size_t i = 0; i < row.size(); i++) Add("<td{}>{}</td>", classes[i], row[i]);
      text_ += "</tr>\n";
    }
    text_ += "</tbody></table></div>\n";
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

void AddHead(Page& page, const ReleaseNotes& notes) {
  const Release& release = notes.release;
  const Identity& identity = notes.identity;
  const std::string title = Escaped(identity.pretty_name.contains(release.version)
                                        ? identity.pretty_name
                                        : identity.name + " " + release.version);
  page.Add(
      "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\n"
      "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n"
      "<meta name=viewport content=\"width=device-width,initial-scale=1\">\n"
      "<title>{}: release notes</title>\n<style>{}</style></head><body>\n<h1>{}</h1>\n",
      title, kStyle, title);
  page.Add("<p class=dim>{}{}, channel {}, released {}",
           identity.vendor.empty() ? "" : "by " + Escaped(identity.vendor) + ", ",
           Escaped(release.architecture), Escaped(release.channel),
           FormatTimeIso(release.timestamp).substr(0, 10));
  if (!identity.support_end.empty())
    page.Add(", supported until {}", Escaped(identity.support_end));
  page.Add(".</p>\n<ul class=chips>");
  if (notes.changes) {
    const ReleaseDiff& diff = *notes.changes;
    if (diff.cves)
      page.Add("<li class=good>{}{} fixed</li>", diff.cves->incomplete.empty() ? "" : "at least ",
               Count(CveChanges::Count(diff.cves->fixed), "CVE"));
    if (diff.cves && !diff.cves->back.empty())
      page.Add("<li class=warn>{} back</li>", Count(CveChanges::Count(diff.cves->back), "CVE"));
    page.Add("<li>{} changed since {}</li>", Count(diff.packages.size(), "package"),
             Escaped(diff.from.version));
  }
  if (notes.open) {
    const auto serious = std::ranges::count_if(notes.open->issues, [](const OpenIssue& issue) {
      return !issue.undetermined() && issue.urgency != "unimportant";
    });
    page.Add("<li class=warn>{} open</li>", Count(static_cast<size_t>(serious), "known issue"));
  }
  page.Add("<li>{}</li><li>{} on disk</li></ul>\n", Count(notes.packages.size(), "package"),
           Megabytes(release.image_size));
}

void AddFacts(Page& page, const ReleaseNotes& notes) {
  page.Add("<h2>What it is</h2>\n<dl>");
  constexpr std::pair<const char*, const char*> kKey[] = {
      {"linux", "Kernel"},    {"containerd", "containerd"}, {"runc", "runc"},
      {"systemd", "systemd"}, {"openssl", "OpenSSL"},       {"openssh", "OpenSSH"},
      {"glibc", "C library"},
  };
  for (const auto& [source, name] : kKey) {
    const auto package = std::ranges::find(notes.packages, source, [](const DebianPackage& each) {
      return std::string_view(each.Described().name);
    });
    if (package != notes.packages.end())
      page.Add("<dt>{}</dt><dd>{}</dd>\n", name, Escaped(package->version));
  }
  page.Add("<dt>Root hash</dt><dd class=hash>{}</dd>\n<dt>Commit</dt><dd class=hash>{}</dd></dl>\n",
           notes.release.root_hash.Hex(), notes.release.commit.Hex());
}

void AddCves(Page& page, const std::vector<CveChange>& changes) {
  for (const CveChange& change : changes) {
    page.Add("<h3>{} <span class=dim>{} · {}</span></h3>\n<div class=cves>", Escaped(change.source),
             FromTo(change.from, change.to), Count(change.cves.size(), "CVE"));
    for (const std::string& cve : change.cves) page.Add("{}\n", Issue(cve));
    page.Add("</div>\n");
  }
}

void AddSecurity(Page& page, const ReleaseDiff& diff) {
  page.Add("<h2>Security fixes since {}</h2>\n", Escaped(diff.from.version));
  if (!diff.cves) {
    page.Add("<p>Not known: {}.</p>\n", Escaped(diff.cves.error().message));
    return;
  }
  page.Add("<p class=dim>As the changelogs of the Debian packages name them.");
  if (!diff.cves->incomplete.empty())
    page.Add(" There may be more: the changelogs of {} do not reach back to what {} has.",
             Escaped(Joined(diff.cves->incomplete)), Escaped(diff.from.version));
  page.Add("</p>\n");
  if (diff.cves->fixed.empty()) page.Add("<p>None.</p>\n");
  AddCves(page, diff.cves->fixed);
  if (diff.cves->back.empty()) return;
  page.Add("<h2>CVEs that are back</h2>\n<p>These packages are older than in {}.</p>\n",
           Escaped(diff.from.version));
  AddCves(page, diff.cves->back);
}

void AddSettings(Page& page, const char* title, const std::vector<SettingChange>& settings) {
  if (settings.empty()) return;
  page.Add("<details><summary>{} ({})</summary>\n", title, settings.size());
  std::vector<std::vector<std::string>> rows;
  for (const SettingChange& setting : settings)
    rows.push_back(
        {"<code>" + Escaped(setting.name) + "</code>", Escaped(setting.from), Escaped(setting.to)});
  page.Table({"Name", "Before", "Now"}, rows);
  page.Add("</details>\n");
}

void AddChanges(Page& page, const ReleaseDiff& diff) {
  page.Add("<h2>Other changes since {}</h2>\n", Escaped(diff.from.version));
  std::vector<std::vector<std::string>> rows;
  for (const PackageChange& package : diff.packages)
    rows.push_back({Escaped(package.name), FromTo(package.from, package.to)});
  page.Add("<details open><summary>Packages ({})</summary>\n", rows.size());
  page.Table({"Package", "Version"}, rows);
  page.Add("</details>\n");
  if (!diff.units.empty()) {
    rows.clear();
    for (const UnitChange& unit : diff.units)
      rows.push_back({Escaped(unit.unit), unit.change, "<code>" + Escaped(unit.path) + "</code>"});
    page.Add("<details><summary>Units of systemd ({})</summary>\n", rows.size());
    page.Table({"Unit", "", "Where"}, rows);
    page.Add("</details>\n");
  }
  AddSettings(page, "Kernel configuration", diff.kernel);
  AddSettings(page, "Kernel arguments", diff.arguments);
  rows.clear();
  for (const FileChange& file : diff.files | std::views::take(kFilesShown))
    rows.push_back({"<code>" + Escaped(file.path) + "</code>",
                    !file.before  ? "added"
                    : !file.after ? "removed"
                                  : "changed",
                    FileSize(file.after ? file.size_after : file.size_before)});
  page.Add("<details><summary>Files ({}, the largest {})</summary>\n", diff.files.size(),
           rows.size());
  page.Table({"File", "", "Size#"}, rows);
  page.Add("</details>\n");
}

void AddOpen(Page& page, const OpenIssues& open) {
  page.Add(
      "<h2>Open issues</h2>\n<p class=dim>As Debian's security tracker knows them for these "
      "versions. What Debian calls unimportant has no effect on a usual system, and is not counted "
      "above.</p>\n");
  std::map<std::string, std::vector<const OpenIssue*>> sources;
  for (const OpenIssue& issue : open.issues)
    sources[issue.source + " " + issue.version].push_back(&issue);
  if (sources.empty()) page.Add("<p>None.</p>\n");
  for (const auto& [source, issues] : sources) {
    page.Add("<details><summary>{} <span class=dim>· {}</span></summary>\n", Escaped(source),
             Count(issues.size(), "issue"));
    std::vector<std::vector<std::string>> rows;
    for (const OpenIssue* issue : issues)
      rows.push_back({Issue(issue->id),
                      issue->undetermined()         ? "under investigation"
                      : issue->status == "resolved" ? "fixed in " + Escaped(issue->fixed_version)
                                                    : "open",
                      Escaped(issue->urgency), Escaped(issue->nodsa)});
    page.Table({"Issue", "Debian", "Urgency", "Note"}, rows);
    page.Add("</details>\n");
  }
}

void AddPackages(Page& page, const ReleaseNotes& notes) {
  std::vector<DebianPackage> largest = notes.packages;
  std::ranges::stable_sort(largest, std::greater(), &DebianPackage::installed_size);
  const uint64_t most = largest.empty() ? 0 : largest[0].installed_size;
  std::vector<std::vector<std::string>> rows;
  for (const DebianPackage& package : largest | std::views::take(kLargest))
    if (package.installed_size > 0)
      rows.push_back(
          {Escaped(package.name),
           std::format("<span class=bar style=\"--part:{:.2f}\"></span>",
                       static_cast<double>(package.installed_size) / static_cast<double>(most)),
           FileSize(package.installed_size * 1024)});
  page.Add(
      "<h2>Largest packages</h2>\n<p class=dim>As Debian counts what a package installs, before "
      "HostOS leaves out documentation.</p>\n");
  page.Table({"Package", "", "Size#"}, rows);

  rows.clear();
  for (const DebianPackage& package : notes.packages) {
    const DebianSource& source = package.Described();
    rows.push_back({Escaped(package.name), Escaped(package.version), Escaped(source.name),
                    package.installed_size ? FileSize(package.installed_size * 1024) : ""});
  }
  page.Add("<h2>All packages</h2>\n<details><summary>{}</summary>\n",
           Count(notes.packages.size(), "package"));
  page.Table({"Package", "Version", "Source", "Size#"}, rows);
  page.Add("</details>\n");
}

void AddCheck(Page& page, const ReleaseNotes& notes) {
  const std::string version = Escaped(notes.release.version),
                    ref = Escaped(ReleaseRef(notes.release.architecture, notes.release.version));
  page.Add(
      "<h2>How to check it</h2>\n<p>On a node, before the update and after it:</p>\n"
      "<pre>hostctl update --plan --version {}\nhostctl verify</pre>\n"
      "<p>From the repository, with the publisher's public keys, to the last byte:</p>\n"
      "<pre>hostimage verify {} --repo REPO --keys KEYS</pre>\n"
      "<p>A node boots nothing whose root hash is another than the one "
      "above.</p>\n</body></html>\n",
      version, ref);
}

}  // namespace

Result<ReleaseNotes> DescribeRelease(const Repo& repo, const Commit& commit) {
  ReleaseNotes notes = {
      .release = commit.release, .identity = {}, .packages = {}, .changes = {}, .open = {}};
  notes.identity = TRY(IdentityOf(repo, commit));
  notes.packages = TRY(PackagesOf(repo, commit));
  return notes;
}

std::string NotesPage(const ReleaseNotes& notes) {
  Page page;
  AddHead(page, notes);
  AddFacts(page, notes);
  if (notes.changes) {
    AddSecurity(page, *notes.changes);
    AddChanges(page, *notes.changes);
  }
  if (notes.open) AddOpen(page, *notes.open);
  AddPackages(page, notes);
  AddCheck(page, notes);
  return page.Take();
}

}  // namespace hostos

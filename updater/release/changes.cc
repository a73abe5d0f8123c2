#include "updater/release/changes.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>

#include "updater/release/commit.h"
#include "updater/release/debian_version.h"
#include "updater/tuf/json.h"
#include "updater/tuf/name.h"

namespace hostos {
namespace {

constexpr int64_t kFileFormat = 1;

// Debian Policy 5.6.17. Any other word says nothing.
ptrdiff_t RankOf(std::string_view urgency) {
  constexpr std::array<std::string_view, 5> kUrgencies = {"critical", "emergency", "high", "medium",
                                                          "low"};
  return kUrgencies.end() - std::ranges::find(kUrgencies, urgency);
}

bool IsNumber(std::string_view text, size_t least, size_t most) {
  return text.size() >= least && text.size() <= most &&
         text.find_first_not_of("0123456789") == text.npos;
}

bool IsDate(std::string_view text) {
  return text.size() == 10 && IsNumber(text.substr(0, 4), 4, 4) && text[4] == '-' &&
         IsNumber(text.substr(5, 2), 2, 2) && text[7] == '-' && IsNumber(text.substr(8), 2, 2);
}

bool IsWord(std::string_view text) {
  return !text.empty() && text.size() <= 16 &&
         std::ranges::all_of(text, [](char c) { return c >= 'a' && c <= 'z'; });
}

// These texts are printed.
Result<std::string> TextAt(const tuf::Object& object, const char* key, std::string_view expected,
                           bool (*is)(std::string_view)) {
  std::string text = TRY(object.Text(key));
  if (is(text)) return text;
  return Fail(Code::kNotTrusted, "{}.{}: expected {}, found '{}'", object.where(), key, expected,
              tuf::EncodeName(text.substr(0, 60)));
}

Result<SourceFix> FixFrom(const tuf::Object& object) {
  SourceFix fix;
  fix.version = TRY(TextAt(object, "version", "a version", IsDebianVersion));
  fix.date = TRY(TextAt(object, "date", "a date", IsDate));
  fix.urgency = TRY(TextAt(object, "urgency", "a word", IsWord));
  fix.cves = TRY(object.Texts("cves"));
  for (const std::string& cve : fix.cves)
    if (!IsCve(cve))
      return Fail(Code::kNotTrusted, "{}.cves: expected CVE-YEAR-NUMBER, found '{}'",
                  object.where(), tuf::EncodeName(cve.substr(0, 60)));
  return fix;
}

Result<SourceChanges> SourceFrom(const tuf::Object& object) {
  SourceChanges source;
  source.name = TRY(TextAt(object, "name", "a source package", IsDebianName));
  source.version = TRY(TextAt(object, "version", "a version", IsDebianVersion));
  if (object.Has("reaches"))
    source.reaches = TRY(TextAt(object, "reaches", "a version", IsDebianVersion));
  for (const tuf::Object& fix : TRY(object.Children("fixes")))
    source.fixes.push_back(TRY(FixFrom(fix)));
  return source;
}

// What `source` fixed after the version `from`, up to `to`.
CveChange Between(const SourceChanges& source, const std::string& from, const std::string& to) {
  CveChange change = {.source = source.name, .from = from, .to = to, .urgency = {}, .cves = {}};
  std::set<std::string, decltype(&CveBefore)> cves(&CveBefore);
  for (const SourceFix& fix : source.fixes) {
    if (CompareDebianVersions(fix.version, from) <= 0 || CompareDebianVersions(fix.version, to) > 0)
      continue;
    cves.insert(fix.cves.begin(), fix.cves.end());
    if (change.urgency.empty() || RankOf(fix.urgency) > RankOf(change.urgency))
      change.urgency = fix.urgency;
  }
  change.cves.assign(cves.rbegin(), cves.rend());
  return change;
}

}  // namespace

Result<ReleaseChanges> ParseChanges(std::string_view bytes) {
  const tuf::Json json = TRY(tuf::ParseJson(bytes, kMaxChangesBytes));
  const tuf::Object object = TRY(tuf::Object::From(json, "changes"));
  if (const int64_t format = TRY(object.Integer("format", 1)); format != kFileFormat)
    return Fail(Code::kNotSupported, "changes.format: expected {}, found {}", kFileFormat, format);
  ReleaseChanges changes;
  changes.version = TRY(TextAt(object, "version", kNameRule, IsValidName));
  changes.since = TRY(TextAt(object, "since", "a date", IsDate));
  for (const tuf::Object& source : TRY(object.Children("sources")))
    changes.sources.push_back(TRY(SourceFrom(source)));
  const auto unordered =
      std::ranges::adjacent_find(changes.sources, std::greater_equal(), &SourceChanges::name);
  if (unordered == changes.sources.end()) return changes;
  return Fail(Code::kNotTrusted, "changes.sources: expected each once, by name, found {} before {}",
              unordered->name, std::next(unordered)->name);
}

std::string WriteChanges(const ReleaseChanges& changes) {
  tuf::Json json = {{"format", kFileFormat},
                    {"version", changes.version},
                    {"since", changes.since},
                    {"sources", tuf::Json::array()}};
  for (const SourceChanges& source : changes.sources) {
    tuf::Json item = {
        {"name", source.name}, {"version", source.version}, {"fixes", tuf::Json::array()}};
    if (!source.reaches.empty()) item["reaches"] = source.reaches;
    for (const SourceFix& fix : source.fixes)
      item["fixes"].push_back({{"version", fix.version},
                               {"date", fix.date},
                               {"urgency", fix.urgency},
                               {"cves", fix.cves}});
    json["sources"].push_back(std::move(item));
  }
  return json.dump() + "\n";
}

bool IsCve(std::string_view text) {
  return text.size() > 9 && text.starts_with("CVE-") && IsNumber(text.substr(4, 4), 4, 4) &&
         text[8] == '-' && IsNumber(text.substr(9), 4, 12);
}

bool CveBefore(const std::string& a, const std::string& b) {
  const auto key = [](const std::string& cve) {
    return std::tuple(std::string_view(cve).substr(0, 9), cve.size(), std::string_view(cve));
  };
  return key(a) < key(b);
}

size_t CveChanges::Count(const std::vector<CveChange>& changes) {
  std::set<std::string_view> cves;
  for (const CveChange& change : changes) cves.insert(change.cves.begin(), change.cves.end());
  return cves.size();
}

CveChanges CompareChanges(const ReleaseChanges& from, const ReleaseChanges& to) {
  std::map<std::string_view, const SourceChanges*> before;
  for (const SourceChanges& source : from.sources) before[source.name] = &source;
  CveChanges changes;
  for (const SourceChanges& after : to.sources) {
    const auto found = before.find(after.name);
    if (found == before.end()) continue;
    const int order = CompareDebianVersions(found->second->version, after.version);
    if (order == 0) continue;
    // Only the newer one knows what came after the older.
    const SourceChanges& older = order < 0 ? *found->second : after;
    const SourceChanges& newer = order < 0 ? after : *found->second;
    CveChange change = Between(newer, older.version, newer.version);
    if (order > 0) std::swap(change.from, change.to);
    if (newer.reaches.empty() || CompareDebianVersions(older.version, newer.reaches) < 0)
      changes.incomplete.push_back(after.name);
    if (!change.cves.empty()) (order < 0 ? changes.fixed : changes.back).push_back(change);
  }
  for (std::vector<CveChange>* list : {&changes.fixed, &changes.back})
    std::ranges::stable_sort(*list, std::greater(), [](const CveChange& change) {
      return std::pair(RankOf(change.urgency), change.cves.size());
    });
  return changes;
}

std::vector<PackageChange> ComparePackages(const Release& from, const Release& to) {
  std::map<std::string, PackageChange> changes;
  for (const auto& [name, version] : from.packages) changes[name] = {name, version, ""};
  for (const auto& [name, version] : to.packages) {
    changes[name].name = name;
    changes[name].to = version;
  }
  std::vector<PackageChange> changed;
  for (auto& [name, change] : changes)
    if (change.from != change.to) changed.push_back(std::move(change));
  return changed;
}

}  // namespace hostos

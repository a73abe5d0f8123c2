#include "images/diff_text.h"

#include <algorithm>
#include <ranges>

#include "images/verb_options.h"
#include "updater/base/clock.h"
#include "updater/base/text.h"

namespace hostos {
namespace {

constexpr size_t kShown = 20, kCvesShown = 6;

class Lines {
 public:
  explicit Lines(bool all) : all_(all) {}

  void Add(const std::string& line) { text_ += line + "\n"; }
  // A heading, then an indented line for each, or for the first ones.
  void List(const std::string& heading, const std::ranges::sized_range auto& items, auto line) {
    Add("");
    Add(heading);
    const size_t shown = all_ ? items.size() : std::min(items.size(), kShown);
    for (const auto& item : items | std::views::take(shown)) Add("  " + line(item));
    if (shown < items.size())
      Add(std::format("  and {} more (--all lists them)", items.size() - shown));
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  bool all_;
};

std::string Arrow(const std::string& from, const std::string& to) {
  if (from.empty()) return to + " (added)";
  if (to.empty()) return from + " (removed)";
  return from + " -> " + to;
}

std::string FileLine(const FileChange& file) {
  if (!file.before) return std::format("{:>9}  added    {}", FileSize(file.size_after), file.path);
  if (!file.after) return std::format("{:>9}  removed  {}", FileSize(file.size_before), file.path);
  if (file.size_before == file.size_after)
    return std::format("{:>9}  changed  {}", FileSize(file.size_after), file.path);
  const bool grew = file.size_after > file.size_before;
  return std::format(
      "{:>9}  changed  {} ({}{})", FileSize(file.size_after), file.path, grew ? "+" : "-",
      FileSize(grew ? file.size_after - file.size_before : file.size_before - file.size_after));
}

std::string CveLine(const CveChange& change, bool all) {
  const size_t shown = all ? change.cves.size() : std::min(change.cves.size(), kCvesShown);
  std::string line = std::format("{} {}: {}", change.source, Arrow(change.from, change.to),
                                 Joined(change.cves | std::views::take(shown)));
  if (shown < change.cves.size()) line += std::format(", and {} more", change.cves.size() - shown);
  return line;
}

void AddCves(Lines& lines, const Result<CveChanges>& cves, bool all) {
  const auto line = [all](const CveChange& change) { return CveLine(change, all); };
  if (!cves) {
    lines.Add("\nCVEs: not known: " + cves.error().message);
    return;
  }
  const bool all_known = cves->incomplete.empty();
  lines.List(std::format("CVEs fixed, by the changelogs of the packages: {}{}",
                         all_known ? "" : "at least ", CveChanges::Count(cves->fixed)),
             cves->fixed, line);
  if (!all_known)
    lines.Add("  not known, because their changelogs do not reach far enough back: " +
              Joined(cves->incomplete));
  if (!cves->back.empty())
    lines.List(
        std::format("CVEs back, of packages that become older: {}", CveChanges::Count(cves->back)),
        cves->back, line);
}

Json ToJson(const std::vector<CveChange>& changes) {
  Json json = Json::array();
  for (const CveChange& change : changes)
    json.push_back({{"source", change.source},
                    {"from", change.from},
                    {"to", change.to},
                    {"urgency", change.urgency},
                    {"cves", change.cves}});
  return json;
}

Json TextOrNull(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

Json ToJson(const std::vector<SettingChange>& settings) {
  Json json = Json::array();
  for (const SettingChange& setting : settings)
    json.push_back({{"name", setting.name},
                    {"from", TextOrNull(setting.from)},
                    {"to", TextOrNull(setting.to)}});
  return json;
}

Json IdOf(const Release& release) {
  return {{"version", release.version},
          {"channel", release.channel},
          {"commit", release.commit.Hex()},
          {"root_hash", release.root_hash.Hex()},
          {"released", FormatTimeIso(release.timestamp)},
          {"image_size", release.image_size}};
}

}  // namespace

std::string FileSize(uint64_t bytes) {
  if (bytes >= 1'000'000) return Megabytes(bytes);
  if (bytes >= 1000) return std::format("{:.1f} kB", static_cast<double>(bytes) / 1e3);
  return std::format("{} B", bytes);
}

std::string DiffText(const ReleaseDiff& diff, bool all) {
  Lines lines(all);
  lines.Add(std::format("{} -> {}, image {} -> {}", diff.from.version, diff.to.version,
                        Megabytes(diff.from.image_size), Megabytes(diff.to.image_size)));
  lines.Add("kernel " + (diff.kernel_before == diff.kernel_after
                             ? diff.kernel_after
                             : Arrow(diff.kernel_before, diff.kernel_after)));
  lines.List(std::format("packages: {}", diff.packages.size()), diff.packages,
             [](const PackageChange& package) {
               return package.name + " " + Arrow(package.from, package.to);
             });
  AddCves(lines, diff.cves, all);
  lines.List(std::format("units: {}", diff.units.size()), diff.units, [](const UnitChange& unit) {
    return std::format("{} {} ({})", unit.unit, unit.change, unit.path);
  });
  const auto setting = [](const SettingChange& change) {
    return change.name + " " + Arrow(change.from, change.to);
  };
  lines.List(std::format("kernel options: {}", diff.kernel.size()), diff.kernel, setting);
  lines.List(std::format("kernel arguments: {}", diff.arguments.size()), diff.arguments, setting);
  const auto added = std::ranges::count(diff.files, false, &FileChange::before),
             removed = std::ranges::count(diff.files, false, &FileChange::after);
  lines.List(std::format("files: {} added, {} removed, {} changed", added, removed,
                         std::ssize(diff.files) - added - removed),
             diff.files, FileLine);
  return lines.text();
}

Json DiffJson(const ReleaseDiff& diff) {
  Json json = {{"from", IdOf(diff.from)}, {"to", IdOf(diff.to)}};
  json["kernel"] = {{"from", TextOrNull(diff.kernel_before)},
                    {"to", TextOrNull(diff.kernel_after)},
                    {"options", ToJson(diff.kernel)},
                    {"arguments", ToJson(diff.arguments)}};
  json["packages"] = Json::array();
  for (const PackageChange& package : diff.packages)
    json["packages"].push_back({{"name", package.name},
                                {"from", TextOrNull(package.from)},
                                {"to", TextOrNull(package.to)}});
  const Result<CveChanges>& cves = diff.cves;
  json["cves"] = {{"problem", cves ? Json() : Json(cves.error().message)},
                  {"fixed", cves ? ToJson(cves->fixed) : Json()},
                  {"back", cves ? ToJson(cves->back) : Json()},
                  {"incomplete", cves ? Json(cves->incomplete) : Json()}};
  json["units"] = Json::array();
  for (const UnitChange& unit : diff.units)
    json["units"].push_back({{"unit", unit.unit}, {"change", unit.change}, {"path", unit.path}});
  json["files"] = Json::array();
  for (const FileChange& file : diff.files)
    json["files"].push_back({{"path", file.path},
                             {"from_bytes", file.before ? Json(file.size_before) : Json()},
                             {"to_bytes", file.after ? Json(file.size_after) : Json()}});
  return json;
}

}  // namespace hostos

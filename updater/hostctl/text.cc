#include "updater/hostctl/text.h"

#include <algorithm>
#include <format>
#include <ranges>

#include "updater/base/printable.h"
#include "updater/base/text.h"

namespace hostos {
namespace {

constexpr size_t kPackagesShown = 8;
constexpr size_t kPathsShown = 6;
constexpr size_t kSourcesShown = 8, kCvesShown = 4;

// "a, b, c, and 4 more (--json lists all)".
std::string FirstOf(const std::vector<std::string>& items, size_t limit) {
  std::string text;
  for (const std::string& item : items | std::views::take(limit))
    text += std::format("{}{}", text.empty() ? "" : ", ", item);
  if (items.size() > limit)
    text += std::format(", and {} more (--json lists all)", FormatCount(items.size() - limit));
  return text;
}

// The running version; it is unknown when neither a kept commit nor a boot entry tells it.
std::string Running(const CheckView& view) {
  return view.running.empty() ? "what runs" : view.running;
}

std::string PackageLine(const UpdatePlan& plan) {
  if (!plan.running) return "not known: the running release's signed commit is not kept here";
  if (plan.packages.empty()) return "none changed";
  std::vector<std::string> items;
  for (const PackageChange& change : plan.packages) {
    if (change.from.empty()) {
      items.push_back(std::format("{} {} added", change.name, change.to));
    } else if (change.to.empty()) {
      items.push_back(std::format("{} removed", change.name));
    } else {
      items.push_back(std::format("{} {} -> {}", change.name, change.from, change.to));
    }
  }
  return std::format("{} changed: {}", FormatCount(items.size()), FirstOf(items, kPackagesShown));
}

// "linux 6.12.117-1 -> 6.12.118-1: CVE-..., and 27 more", each on a line of its own.
std::string CveLines(const std::vector<CveChange>& changes) {
  std::string text;
  for (const CveChange& change : changes | std::views::take(kSourcesShown)) {
    text += std::format("\n             {} {} -> {}: ", change.source, change.from, change.to);
    text += Joined(change.cves | std::views::take(kCvesShown));
    if (change.cves.size() > kCvesShown)
      text += std::format(", and {} more", FormatCount(change.cves.size() - kCvesShown));
  }
  const size_t left = changes.size() - std::min(changes.size(), kSourcesShown);
  if (left > 0) text += std::format("\n             and {}", Plural(left, "more source package"));
  return text;
}

std::string CveLine(const UpdatePlan& plan) {
  if (!plan.cves) return "not known: " + Printable(plan.cves.error().message);
  const CveChanges& cves = *plan.cves;
  const size_t fixed = CveChanges::Count(cves.fixed), back = CveChanges::Count(cves.back);
  std::string text =
      std::format("{}{} fixed, by the changelogs of the packages{}{}",
                  cves.incomplete.empty() ? "" : "at least ", FormatCount(fixed),
                  cves.incomplete.empty() ? "" : ", of which not all reach far enough back",
                  cves.fixed.empty() ? "" : " (--json lists all)");
  text += CveLines(cves.fixed);
  if (back > 0)
    text += std::format("\n             {} back, of packages that become older{}",
                        FormatCount(back), CveLines(cves.back));
  return text;
}

std::string RescueLine(const UpdatePlan& plan) {
  if (!plan.rescue) return "stays as it is";
  const std::string size = FormatSize(plan.rescue->image.size);
  const std::string present = plan.rescue->from.empty()
                                  ? std::string("none is there")
                                  : "in place of that of " + plan.rescue->from;
  if (plan.rescue->fits)
    return std::format("{} on the ESP once the release is kept; {}", size, present);
  return std::format("no room on the ESP for {} more: the present one stays", size);
}

std::string EtcLine(const UpdatePlan& plan) {
  if (plan.etc_changes.empty()) return "no files of yours";
  std::vector<std::string> paths;
  for (const std::string& path : plan.etc_changes) paths.push_back(Printable(path));
  const bool one = paths.size() == 1;
  return std::format("{} of yours {} as {}: {}", Plural(paths.size(), "file"),
                     one ? "stays" : "stay", one ? "it is" : "they are",
                     FirstOf(paths, kPathsShown));
}

std::string HealthLine(const PlanView& view) {
  const std::string fails = Printable(FailsAlready(view.plan->failing));
  if (fails.empty()) return "good: nothing fails now that a trial would fail for";
  return std::format("fails already, {}: {}",
                     view.ignore_health ? "and is ignored" : "and an update is refused", fails);
}

std::string LimitText(const PlanView& view) {
  if (view.rate_limit == 0) return "";
  const Seconds least(view.plan->fetch.download_bytes / view.rate_limit);
  return std::format("; at most {} per second, so {} min or more", FormatSize(view.rate_limit),
                     FormatMinutes(least));
}

std::string NetworkLine(const PlanView& view) {
  const Metering& metering = *view.plan->metering;
  const std::string detail = Printable(metering.detail);
  if (!metering.metered) return "not known to be metered, so not refused: " + detail;
  if (!*metering.metered) return std::format("not metered ({})", detail);
  return std::format("metered ({}), {}", detail,
                     view.NotNow() ? "and an update is refused" : "and used this once");
}

std::string PlanRows(const PlanView& view) {
  const UpdatePlan& plan = *view.plan;
  const Release& release = plan.target.release;
  std::string text;
  auto row = [&](std::string_view name, const std::string& value) {
    text += std::format("  {:<9}  {}\n", name, value);
  };
  row("trust", std::format("signed by {} of {} required {}", plan.target.valid_signatures,
                           plan.target.required_signatures,
                           plan.target.required_signatures == 1 ? "key" : "keys"));
  row("download",
      std::format("{} {} {}; {} reused from this machine{}", FormatSize(plan.fetch.download_bytes),
                  plan.fetch.packed ? "as a delta pack of" : "in",
                  Plural(plan.fetch.objects, "object"), FormatSize(plan.fetch.reused_bytes),
                  LimitText(view)));
  if (plan.metering) row("network", NetworkLine(view));
  row("write",
      std::format("{} to slot {}; ESP needs {}, has {} free",
                  FormatSize(release.image_size + release.verity_size), Name(plan.slot),
                  FormatSize(release.uki_size), FormatSizeOf(plan.esp_free, plan.esp_size)));
  row("state",
      std::format("needs {} and {}, has {} and {} free", FormatSize(plan.state_needed.bytes),
                  Plural(plan.state_needed.inodes, "inode"), FormatSize(plan.state_free.bytes),
                  FormatCount(plan.state_free.inodes)));
  row("rescue", RescueLine(plan));
  row("packages", PackageLine(plan));
  row("CVEs", CveLine(plan));
  row("/etc", EtcLine(plan));
  if (view.check.finding == Finding::kAvailable) row("health", HealthLine(view));
  row("reboot", std::format("yes; containers stop; health gate: {} steady within {}; {}, then back "
                            "to {}",
                            FormatSpan(view.health.window), FormatSpan(view.health.deadline),
                            view.tries == 1 ? "1 try" : std::format("{} tries", view.tries),
                            Running(view.check)));
  return text;
}

std::string ReleaseLine(const CheckView& view) {
  const Release& release = view.target->release;
  return std::format("{} -> {} ({}), released {}, index {}\n", Running(view), release.version,
                     release.channel, FormatTime(release.timestamp), view.target->index);
}

// What ran before, or runs instead, worded for a sentence.
std::string Before(const HistoryEntry& entry) {
  const bool release = !entry.from.empty() && entry.from != entry.release.version;
  return release ? entry.from : ReleaseId().FallbackName();
}

std::string HistoryLine(const HistoryEntry& entry, const PostMortem* post_mortem) {
  const ReleaseId& release = entry.release;
  std::string text = std::format("{}  ", FormatTime(entry.time));
  std::string boots = entry.boots ? " after " + Plural(entry.boots, "boot") : "";
  const std::string name =
      std::format("{} ({}) in slot {}", release.version, release.commit.Short(), Name(entry.slot));
  switch (entry.outcome) {
    case Outcome::kCommitted:
      text += std::format("committed    {}{}, was {}", name, boots, Before(entry));
      break;
    case Outcome::kFellBack:
      text += std::format("fell back    {}{}, to {}", name, boots, Before(entry));
      break;
    case Outcome::kDegraded:
      text += std::format("degraded     {}", name);
      break;
    case Outcome::kRolledBack:
      text += std::format("rolled back  {}, to {}", name, Before(entry));
      break;
  }
  if (!entry.reason.empty()) text += "\n" + Indented(Printable(entry.reason), 34);
  if (!text.ends_with('\n')) text += "\n";
  if (entry.traffic) text += Indented("over the network: " + FormatTraffic(*entry.traffic), 34);
  if (post_mortem)
    text += Indented(std::format("failed in: {}; last reset: {}", post_mortem->phase,
                                 Printable(post_mortem->cause)),
                     34);
  return text;
}

std::string VerifyRescueLine(const RescueProof& rescue, const Paint& paint) {
  const std::string verdict =
      !rescue.problem.empty()  ? paint.Bad("NOT PROVEN") + ": " + Printable(rescue.problem)
      : rescue.release.empty() ? "not known: no signed commit that is kept here names it"
                               : paint.Good("proven") + ": as signed with " + rescue.release;
  return std::format("  rescue  {}  {}\n", Printable(rescue.version), verdict);
}

}  // namespace

std::string CheckText(const CheckView& view) {
  switch (view.finding) {
    case Finding::kAvailable:
      return ReleaseLine(view) +
             "`hostctl update --plan` says what it changes, `hostctl update` does it.\n";
    case Finding::kStaged:
      return ReleaseLine(view) + "It is staged already: reboot to run it.\n";
    case Finding::kNothingToDo:
    case Finding::kRefused:
      break;
  }
  return Printable(view.message) + "\n";
}

std::string PlanText(const PlanView& view) {
  if (!view.plan) return CheckText(view.check);
  std::string text = ReleaseLine(view.check) + PlanRows(view);
  if (view.check.finding == Finding::kStaged)
    return text + "It is staged already: reboot to run it.\n";
  return text + std::format("Nothing was changed. `hostctl update{}{}` does it.\n",
                            view.NotNow() || view.allow_metered ? " --allow-metered" : "",
                            view.Refused() || view.ignore_health ? " --ignore-health" : "");
}

std::string HealthText(const HealthView& view, const Paint& paint) {
  size_t width = 0;
  for (const CheckResult& check : view.checks) width = std::max(width, check.name.size());
  std::string text;
  for (const CheckResult& check : view.checks) {
    std::string word = check.ok         ? paint.Good("ok    ")
                       : check.required ? paint.Bad("FAILED")
                                        : paint.Warn("warn  ");
    text += std::format("{}  {:<{}}  {:>6} ms  {}\n", word, check.name, width, check.took.count(),
                        Printable(check.detail));
    if (!check.ok && !check.output.empty()) text += Indented(Printable(check.output), 10);
  }
  return text + (view.Healthy() ? paint.Good("healthy") : paint.Bad("not healthy")) + "\n";
}

std::string HistoryText(const HistoryView& view) {
  if (view.history.empty()) return "No update has come to an end on this machine yet.\n";
  std::string text;
  for (const HistoryEntry& entry : view.history | std::views::reverse)
    text += HistoryLine(entry, PostMortemOf(view.post_mortems, entry.release.commit, entry.time));
  return text;
}

std::string TwinText(const std::string& disk) {
  return std::format(
      "disk {0}: its partitions have the same UUIDs as those of this node's disk, as if written "
      "from the same image; nothing of it is used, but the firmware may start its boot loader. "
      "Detach or erase {0}",
      disk);
}

std::string VerifyText(const VerifyView& view, const Paint& paint) {
  std::string text;
  for (const auto& [proof, running, empty] : view.slots) {
    std::string name = proof.release ? std::format("{} ({})", proof.release->version,
                                                   proof.release->commit.Short())
                                     : "-";
    std::string verdict = empty ? "empty"
                          : proof.proven
                              ? paint.Good("proven") + ": its root hash " +
                                    proof.release->root_hash.Short() + " is the signed one"
                              : paint.Bad("NOT PROVEN") + ": " + Printable(proof.problem);
    text += std::format("{} {}  {}  {}\n", running ? '*' : ' ', Name(proof.slot), name, verdict);
  }
  if (view.rescue) text += VerifyRescueLine(*view.rescue, paint);
  if (!view.boot) return text;
  if (!view.boot->problem.empty())
    text += std::format("  boot  {}: {}\n", paint.Bad("NOT PROVEN"), Printable(view.boot->problem));
  if (!view.boot->unsigned_items.empty())
    text += paint.Warn("Not signed by a release, and part of what boots, or can be:") + "\n";
  for (const Unsigned& item : view.boot->unsigned_items)
    text += std::format("  {}: {}\n", OneLine(item.what), OneLine(item.can));
  return text;
}

}  // namespace hostos

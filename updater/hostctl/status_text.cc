#include <algorithm>
#include <array>
#include <format>
#include <ranges>

#include "updater/base/printable.h"
#include "updater/engine/selftest.h"
#include "updater/hostctl/text.h"

namespace hostos {
namespace {

constexpr std::string_view kDot = " · ";
constexpr size_t kHeadlineColumns = 65;  // the column of the one word about the whole system
constexpr size_t kShortList = 3;         // given-up releases shown without --why
constexpr uint64_t kSupportEndsSoon = 90 * 86'400;  // seconds

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts)
    if (!part.empty()) text += std::format("{}{}", text.empty() ? "" : separator, part);
  return text;
}

std::string Named(const ReleaseId& id) {
  return id.commit == Digest{} ? id.version : std::format("{} ({})", id.version, id.commit.Short());
}

// The whole system in one word or two.
std::string Headline(const StatusView& view, const Paint& paint) {
  const SlotStatus* running = view.Running();
  if (!view.problems.empty()) return paint.Bad("degraded");
  if (running && running->condition == SlotCondition::kTrial) return paint.Warn("on trial");
  if (view.RebootNeeded()) return paint.Warn("reboot needed");
  if (view.status.fallback) return paint.Bad("fell back");
  if (view.NotProven()) return paint.Bad("not proven");
  if (view.status.degraded) return paint.Bad("not healthy");
  if (view.LoaderFailed()) return paint.Bad("loader failed");
  if (view.OldRescue()) return paint.Bad("old rescue");
  if (view.Unsupported()) return paint.Bad("unsupported");
  return paint.Good("good");
}

std::string ConditionText(const SlotStatus& slot) {
  auto tries = [&](std::string_view what) {
    return slot.tries
               ? std::format("{}, {} left", what,
                             slot.tries->left == 1 ? std::string("1 try")
                                                   : std::format("{} tries", slot.tries->left))
               : std::string(what);
  };
  switch (slot.condition) {
    case SlotCondition::kEmpty:
      return slot.running ? "has no boot entry" : "empty";
    case SlotCondition::kFactory:
      return slot.running || slot.boots_next ? "as installed" : "fallback (as installed)";
    case SlotCondition::kBlessed: {
      std::string when = slot.blessed_at ? " " + FormatTime(slot.blessed_at) : "";
      return slot.running || slot.boots_next ? "blessed" + when : "fallback (last good)";
    }
    case SlotCondition::kTrial:
      return tries("on trial");
    case SlotCondition::kArmed:
      return tries("staged");
    case SlotCondition::kBad:
      return slot.reason.empty() ? "bad: no tries left" : "bad: given up";
  }
  return "";
}

std::array<std::string, 5> Row(const SlotStatus& slot) {
  std::string state = Join(
      {slot.running ? "running" : "", ConditionText(slot), slot.boots_next ? "boots next" : ""},
      kDot);
  return {Name(slot.slot), slot.release ? slot.release->version : "-",
          slot.release ? slot.release->commit.Short() : "-",
          slot.root_hash ? slot.root_hash->Short() : "-", state};
}

std::string SlotTable(const StatusView& view) {
  std::vector<const SlotStatus*> order = {&view.status.slots[0], &view.status.slots[1]};
  std::ranges::stable_sort(order, std::greater(), &SlotStatus::running);
  size_t version_width = std::string_view("version").size();
  for (const SlotStatus* slot : order)
    version_width = std::max(version_width, Row(*slot)[1].size());

  auto line = [&](char mark, const std::array<std::string, 5>& row) {
    return std::format("{} {:<4}  {:<{}}  {:<8}  {:<9}  {}\n", mark, row[0], row[1], version_width,
                       row[2], row[3], row[4]);
  };
  std::string text = line(' ', {"slot", "version", "commit", "root hash", "state"});
  for (const SlotStatus* slot : order) text += line(slot->running ? '*' : ' ', Row(*slot));
  return text;
}

std::string UpdateText(const StatusView& view) {
  const std::optional<UpdateRecord>& update = view.status.update;
  std::string checked =
      view.status.checked ? std::format("last checked {}", FormatAge(view.status.checked, view.now))
                          : "never checked";
  if (!update) {
    return view.lock_holder.empty() ? std::format("none in progress ({})", checked)
                                    : "busy: " + view.lock_holder;
  }
  const std::string target =
      std::format("{} in slot {}", Named(update->target), Name(update->slot));
  const SlotStatus& slot = view.status.slots[static_cast<int>(update->slot)];
  switch (update->phase) {
    case Phase::kArmed:
      return slot.boots_next
                 ? std::format("{} is staged: reboot to run it; if it fails, back to {}", target,
                               FallbackOf(*update).FallbackName())
                 : std::format(
                       "{} is staged, but does not boot next; stage it again: hostctl update",
                       target);
    case Phase::kTrial:
      return std::format(
          "{} is on trial, boot {}: its health gate decides; if it fails, back to {}", target,
          update->attempts.size(), FallbackOf(*update).FallbackName());
    default:
      if (!view.lock_holder.empty())
        return std::format("{}: {} now ({})", target, Name(update->phase), view.lock_holder);
      return std::format("{} was interrupted in {}, begun {}; resume it: hostctl update", target,
                         Name(update->phase), FormatAge(update->started, view.now));
  }
}

std::string RetryCommand(const ReleaseId& release) {
  return std::format("hostctl update --version {} --retry", release.version);
}

// "fell back on ... after 1 boot", or "was given up on ..." when an operator did it.
std::string GivenUp(const StatusView& view, const Denied& denied) {
  bool fell_back = std::ranges::any_of(view.history, [&](const HistoryEntry& entry) {
    return entry.outcome == Outcome::kFellBack && entry.release.commit == denied.release.commit;
  });
  std::string boots = denied.boots ? " after " + Plural(denied.boots, "boot") : "";
  return std::format("{} on {}{}", fell_back ? "fell back" : "was given up",
                     FormatTime(denied.time), boots);
}

std::string RefusedText(const StatusView& view) {
  std::string text;
  size_t shown = 0;
  for (const Denied& denied : view.status.denied | std::views::reverse) {
    if (shown++ == kShortList) break;
    text += std::format("Refused  {} {}:\n         {}\n", Named(denied.release),
                        GivenUp(view, denied), Printable(denied.reason));
  }
  if (text.empty()) return text;
  const size_t more = view.status.denied.size() - std::min(shown, view.status.denied.size());
  if (view.status.denied.size() > kShortList)
    text += std::format("         and {} more\n", more + 1);
  return text + std::format("         see: hostctl status --why      try again: {}\n",
                            RetryCommand(view.status.denied.back().release));
}

// Only for a fallback whose release is not refused from now on: it vanished before it could be
// tried.
std::string FallbackText(const StatusView& view) {
  const std::optional<HistoryEntry>& fallback = view.status.fallback;
  if (!fallback || std::ranges::any_of(view.status.denied, [&](const Denied& denied) {
        return denied.release.commit == fallback->release.commit;
      }))
    return "";
  return std::format("Failed   {} on {}:\n         {}\n", Named(fallback->release),
                     FormatTime(fallback->time), Printable(fallback->reason));
}

// Adds to the reason where the release failed and what its boots left behind.
std::string PostMortemText(const PostMortem* post_mortem) {
  if (!post_mortem) return "";
  std::string text = std::format("  failed in  {}{}\n  last reset {}\n", post_mortem->phase,
                                 post_mortem->check.empty() ? "" : ": " + post_mortem->check,
                                 Printable(post_mortem->cause));
  for (const CheckResult& check : post_mortem->checks)
    if (!check.ok)
      text += std::format(
          "  check      {}{}{}: {}\n", check.name, check.required ? "" : " (wanted)",
          check.Excused() ? " (not held against the release)" : "", Printable(check.detail));
  for (const BootTrace& trace : post_mortem->traces) {
    text += std::format("  boot       {} to {}, {}; its last lines:\n", FormatTime(trace.begun),
                        FormatTime(trace.ended), trace.in_order ? "shut down" : "cut off");
    text += Indented(Printable(trace.log), 4);
  }
  if (!post_mortem->kernel.empty())
    text += "  kernel     its last lines:\n" + Indented(Printable(post_mortem->kernel), 4);
  return text;
}

std::string VerifiedText(const StatusView& view) {
  std::string text;
  for (const SlotStatus& slot : view.status.slots)
    if (slot.verified)
      text += std::format(
          "Verify   slot {} {} {}{}\n", Name(slot.slot),
          slot.verified->proven() ? "proven" : "NOT PROVEN", FormatTime(slot.verified->time),
          slot.verified->proven() ? "" : ":\n         " + Printable(slot.verified->problem));
  return text;
}

std::string LoaderText(const StatusView& view) {
  if (!view.status.selftest) return "";
  return std::format("Loader   self-test {}\n", Printable(SelfTestText(*view.status.selftest)));
}

// Empty while the end is not known, or far.
std::string SupportText(const StatusView& view) {
  const uint64_t ends = view.status.support.ends;
  const std::string day = FormatTimeIso(ends).substr(0, 10);
  if (view.Unsupported())
    return std::format(
        "Support  of this release ended on {}: nobody mends it; update to a newer one\n", day);
  if (ends - view.now > kSupportEndsSoon) return "";
  return std::format("Support  of this release ends on {}\n", day);
}

// Empty for a node without a rescue. The version alone when it is the right rescue.
std::string RescueText(const StatusView& view) {
  const RescueStatus& rescue = view.status.rescue;
  if (view.OldRescue()) return std::format("Rescue   {}\n", Printable(rescue.problem));
  if (rescue.file.empty()) return "";
  return std::format("Rescue   {}\n", rescue.version.empty() ? "?" : Printable(rescue.version));
}

}  // namespace

std::string SelfTestText(const SelfTest& test) {
  switch (test.state) {
    case SelfTestState::kRunning:
      return test.boots == 0
                 ? std::format("begins with the next boot, and takes {}: reboot", kSelfTestBoots)
                 : std::format("in progress: boot {} of {} was as expected", test.boots,
                               kSelfTestBoots);
    case SelfTestState::kPassed:
      return std::format("passed {}: it counts tries, and falls back", FormatTime(test.time));
    case SelfTestState::kFailed:
      return std::format("failed {}: {}", FormatTime(test.time), test.reason);
  }
  return "";
}

std::string StatusText(const StatusView& view, const Paint& paint) {
  const Status& status = view.status;
  std::string name =
      Join({"HostOS " + (status.version.empty() ? "?" : status.version), status.channel,
            status.architecture, status.support.preview ? "PREVIEW, not for production" : ""},
           kDot);
  // A dot is two bytes, but one column.
  const size_t dots = static_cast<size_t>(std::ranges::count(name, kDot[1]));
  const size_t columns = name.size() - dots;
  std::string text = paint.Strong(name) +
                     std::string(columns < kHeadlineColumns ? kHeadlineColumns - columns : 2, ' ') +
                     Headline(view, paint) + "\n" + SlotTable(view);
  text += std::format("Update   {}\n", UpdateText(view));
  if (status.traffic)
    text += std::format("Network  {}, by the {}update\n", FormatTraffic(*status.traffic),
                        status.update && !status.update->was_good ? "" : "last ");
  if (!status.known.empty())
    text += std::format("Known    failed before the {}update: {}\n", status.update ? "" : "last ",
                        Printable(Join(status.known, ", ")));
  if (const std::optional<HistoryEntry>& degraded = view.status.degraded)
    text += std::format("Health   went bad {} after {} was committed:\n         {}\n",
                        FormatTime(degraded->time), Named(degraded->release),
                        Printable(degraded->reason));
  text += SupportText(view) + VerifiedText(view) + RescueText(view) + LoaderText(view) +
          FallbackText(view) + RefusedText(view);
  for (const std::string& problem : view.problems)
    text += std::format("{}  {}\n", paint.Bad("Problem"), Printable(problem));
  return text;
}

std::string WhyText(const StatusView& view, const Paint& paint) {
  std::string text = FallbackText(view);
  if (!text.empty())
    text += PostMortemText(PostMortemOf(view.post_mortems, view.status.fallback->release.commit,
                                        view.status.fallback->time));
  for (const Denied& denied : view.status.denied | std::views::reverse) {
    if (!text.empty()) text += "\n";
    text +=
        paint.Strong(std::format("{} {}", denied.release.version, GivenUp(view, denied))) + "\n";
    text += std::format("  commit     {}\n  root hash  {}\n  reason     {}\n",
                        denied.release.commit.Hex(), denied.release.root_hash.Hex(),
                        Printable(denied.reason));
    if (std::string output = view.OutputOf(denied); !output.empty())
      text += "  output     of the failed check:\n" + Indented(Printable(output), 4);
    text += PostMortemText(PostMortemOf(view.post_mortems, denied.release.commit, denied.time));
    text += std::format("  try again  {}\n", RetryCommand(denied.release));
  }
  if (const std::optional<HistoryEntry>& degraded = view.status.degraded)
    text += std::format(
        "{}\n  reason     {}\n{}",
        paint.Strong(std::format("{} went bad on {}, and runs on", degraded->release.version,
                                 FormatTime(degraded->time))),
        Printable(degraded->reason),
        PostMortemText(PostMortemOf(view.post_mortems, degraded->release.commit, degraded->time)));
  if (text.empty()) text = "No release was given up on this machine.\n";
  if (view.LoaderFailed()) text += LoaderText(view);
  for (const std::string& problem : view.problems)
    text += std::format("{}  {}\n", paint.Bad("Problem"), Printable(problem));
  return text;
}

}  // namespace hostos

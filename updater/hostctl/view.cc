#include "updater/hostctl/view.h"

#include <algorithm>
#include <ranges>

namespace hostos {
namespace {

const SlotStatus* FindSlot(const Status& status, bool SlotStatus::* property) {
  for (const SlotStatus& slot : status.slots)
    if (slot.*property) return &slot;
  return nullptr;
}

}  // namespace

const PostMortem* PostMortemOf(const std::vector<PostMortem>& post_mortems, const Digest& commit,
                               uint64_t time) {
  const auto found = std::ranges::find_if(post_mortems, [&](const PostMortem& post_mortem) {
    return post_mortem.release.commit == commit && post_mortem.time == time;
  });
  return found == post_mortems.end() ? nullptr : &*found;
}

const SlotStatus* StatusView::Running() const {
  return FindSlot(status, &SlotStatus::running);
}
const SlotStatus* StatusView::BootsNext() const {
  return FindSlot(status, &SlotStatus::boots_next);
}

bool StatusView::RebootNeeded() const {
  const SlotStatus *running = Running(), *next = BootsNext();
  return running && next && next != running && running->condition != SlotCondition::kTrial;
}

bool StatusView::LoaderFailed() const {
  return status.selftest && status.selftest->state == SelfTestState::kFailed;
}

bool StatusView::NotProven() const {
  return std::ranges::any_of(status.slots, [](const SlotStatus& slot) {
    return slot.verified && !slot.verified->proven();
  });
}

std::string StatusView::OutputOf(const Denied& denied) const {
  for (const HistoryEntry& entry : history | std::views::reverse)
    if (entry.outcome == Outcome::kFellBack && entry.release.commit == denied.release.commit)
      return entry.output;
  return "";
}

ExitCode ExitOf(const StatusView& view) {
  if (!view.problems.empty()) return ExitCode::kFailed;
  if (view.RebootNeeded()) return ExitCode::kStaged;
  if (view.status.fallback) return ExitCode::kFellBack;
  if (view.NotProven()) return ExitCode::kNotTrusted;
  if (view.status.degraded || view.LoaderFailed() || view.OldRescue()) return ExitCode::kNotHealthy;
  return view.Unsupported() ? ExitCode::kUnsupported : ExitCode::kDone;
}

ReleaseId FallbackOf(const UpdateRecord& update) {
  return update.from.root_hash == update.target.root_hash ? ReleaseId() : update.from;
}

const char* Name(Finding finding) {
  static constexpr const char* kNames[] = {"available", "staged", "nothing-to-do", "refused"};
  return kNames[static_cast<int>(finding)];
}

ExitCode ExitOf(Finding finding) {
  switch (finding) {
    case Finding::kAvailable:
      return ExitCode::kDone;
    case Finding::kStaged:
      return ExitCode::kStaged;
    case Finding::kNothingToDo:
      return ExitCode::kNothingToDo;
    case Finding::kRefused:
      return ExitCode::kRefused;
  }
  return ExitCode::kFailed;
}

// As `hostctl update` would look at it.
ExitCode ExitOf(const PlanView& view) {
  if (view.NotNow()) return ExitCode::kNotNow;
  return view.Refused() ? ExitCode::kNotHealthy : ExitOf(view.check.finding);
}

bool HealthView::Healthy() const {
  return std::ranges::none_of(checks, [](const CheckResult& c) { return c.required && !c.ok; });
}

ExitCode ExitOf(const VerifyView& view) {
  bool all = std::ranges::all_of(view.slots,
                                 [](const auto& item) { return item.empty || item.proof.proven; });
  if (view.rescue && !view.rescue->problem.empty()) all = false;
  if (view.boot && !view.boot->problem.empty()) all = false;
  return all ? ExitCode::kDone : ExitCode::kNotTrusted;
}

}  // namespace hostos

#include "updater/engine/probation.h"

#include <algorithm>
#include <functional>

#include "bootctl/entry_name.h"
#include "updater/engine/post_mortem.h"
#include "updater/engine/releases.h"
#include "updater/engine/rollback.h"

namespace hostos {
namespace {

constexpr Milliseconds kRoundLimit = Seconds(120);
// The commit whose probation this is: the newest history entry, if it committed what runs now.
const HistoryEntry* OnProbation(const View& view) {
  if (view.running.on_trial || view.record.history.empty()) return nullptr;
  const HistoryEntry& last = view.record.history.back();
  const bool runs = last.release.root_hash == view.running.root_hash;
  return last.outcome == Outcome::kCommitted && runs ? &last : nullptr;
}

// What is left of the probation that began at `began`. If the clock was set meanwhile, it never
// gets longer than the configured time.
Seconds Left(const Config& config, uint64_t began, uint64_t now) {
  const Seconds all = config.probation.time;
  return all - std::clamp(Seconds(now > began ? now - began : 0), Seconds(0), all);
}

// Checks once per interval. After a bad round the gate's own rules decide. The release was healthy
// here before: what fails for reasons outside this machine, and what failed before its update, is
// not held against it.
Verdict Watch(World& world, const Config& config, const Record& record, Milliseconds limit) {
  const Baseline baseline{.failed = record.known, .known_good = true};
  const Milliseconds end = world.clock.Monotonic() + limit;
  Verdict verdict{.healthy = true};
  for (Milliseconds now = world.clock.Monotonic(); verdict.healthy && now < end;
       now = world.clock.Monotonic()) {
    world.clock.Sleep(std::min<Milliseconds>(config.probation.interval, end - now));
    if (FirstFailing(RoundAgainst(baseline, world.health, kRoundLimit)))
      verdict = WaitHealthy(world.health, world.clock, config.health, baseline);
  }
  return verdict;
}

}  // namespace

Result<ProbationResult> WatchProbation(World& world, const Config& config) {
  // Under the lock, because Look() may set a damaged record aside. The lock is free during the
  // watch.
  std::optional<Lock> lock = TRY(world.state.WaitLock("hostctl probation", world.clock.Now()));
  const View first = TRY(Look(world));
  if (FlipIsMissing(first.record, first.boot)) {  // an earlier probation was cut short
    const HistoryEntry& last = first.record.history.back();
    TRY(world.boot.MarkBad(first.running.slot));
    TRY(world.power.Reboot());
    return ProbationResult{.end = ProbationEnd::kFellBack,
                           .release = last.release,
                           .verdict = {.reason = last.reason}};
  }
  lock.reset();
  const HistoryEntry* commit = OnProbation(first);
  if (!commit) return ProbationResult{};
  ProbationResult result{.release = commit->release};
  const Seconds left = Left(config, commit->time, world.clock.Now());
  result.verdict = Watch(world, config, first.record, left);
  if (result.verdict.healthy) {
    result.end = ProbationEnd::kPassed;
    return result;
  }

  lock = TRY(world.state.WaitLock("hostctl probation", world.clock.Now()));
  View view = TRY(Look(world));
  if (!OnProbation(view)) {
    result.end = ProbationEnd::kOvertaken;
    return result;
  }
  const std::string reason = "in its probation: " + result.verdict.reason;
  const std::string output = FailingOutput(result.verdict);
  const Result<ReleaseId> other = GoodOther(world, view);
  if (config.probation.fall_back && other) {
    TRY(GiveUpRunning(world, view, *other, Outcome::kFellBack, reason, output));
    result.end = ProbationEnd::kFellBack;
  } else {
    view.record.AddHistory({Outcome::kDegraded, world.clock.Now(), commit->release, commit->from,
                            view.running.slot, 0, reason, output});
    TRY(world.state.record().Save(view.record));
    result.end = ProbationEnd::kDegraded;
  }
  // It only explains.
  (void)PostMortemOfProbation(world, view.record.history.back(), commit->time, result.verdict);
  if (result.end == ProbationEnd::kFellBack) TRY(world.power.Reboot());
  return result;
}

Result<bool> Recount(World& world, const Config& config) {
  // Waiting is fine: whoever holds the lock ends too when the machine goes down.
  Lock lock = TRY(world.state.WaitLock("hostctl recount", world.clock.Now()));
  View view = TRY(Look(world));
  const BootState& boot = view.boot;
  const Slot running = view.running.slot;
  std::vector<Slot> slots;
  for (Slot slot : {running, Other(running)})
    if (const BootEntry* entry = boot.EntryOf(slot);
        entry && !entry->tries && IsReleaseFile(entry->file))
      slots.push_back(slot);
  // With nothing else left to boot, a counter would only lead to the same boot.
  const auto left = std::ranges::count_if(boot.entries, std::not_fn(&BootEntry::exhausted));
  if (view.running.on_trial || view.record.SelfTesting() || slots.empty() || left < 2) return false;

  // The record first, as for every trial: it explains the boot that follows.
  if (boot.next() == running && !view.record.update) {
    const ReleaseId target = TRY(IdentifySlot(world, boot, running));
    TRY(RecordRecount(world, view.record, view.boot_id, running, target,
                      GoodOther(world, view).value_or(target)));
  }
  for (Slot slot : slots) TRY(world.boot.MarkIndeterminate(slot, config.tries));
  return true;
}

}  // namespace hostos

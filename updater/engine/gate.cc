#include "updater/engine/gate.h"

#include "updater/engine/post_mortem.h"
#include "updater/engine/releases.h"
#include "updater/engine/rescue_image.h"
#include "updater/engine/rollback.h"
#include "updater/engine/selftest.h"
#include "updater/engine/view.h"

namespace hostos {
namespace {

// Reports a failure that does not affect the decision.
void Note(GateResult& result, const Result<>& what) {
  if (!what) result.problems.push_back(what.error().message);
}

// Called only after a trial: an upper cannot be recovered, and until then somebody may still boot
// with it.
void ForgetEtc(World& world, const BootState& boot) {
  if (const RunningRelease* running = boot.release())
    (void)world.state.ForgetEtc(running->root_hash, boot.RootOf(boot.target()));
}

// Removes the kept commits of releases in neither slot: the update that overwrote them may have
// failed to.
void ForgetCommits(World& world, const UpdateRecord& update) {
  if (!update.was_good && update.from.commit != Digest())
    (void)world.state.ForgetExcept({update.target.commit, update.from.commit});
}

// Settles what the last boots left: finishes a commit that a power cut interrupted, or makes sure
// that the loader does not try a release again that fell back. The record comes last: until it is
// written, the next gate does all this again.
Result<> SettleBoot(World& world, const Config& config, Record& record, Situation found,
                    const BootState& boot, const std::string& boot_id) {
  switch (found) {
    case Situation::kPassed:
      // This only makes room: a release that cannot do it is not at fault.
      (void)world.source.Discard();
      ForgetEtc(world, boot);
      ForgetCommits(world, *record.update);
      // The release behind it was counted together with it.
      if (const Slot other = boot.target(); boot.RootOf(other) == record.update->from.root_hash)
        TRY(world.boot.MarkGoodIfUntried(other));
      break;
    case Situation::kFellBack:
      if (const BootEntry* entry = boot.EntryOf(record.update->slot); entry && !entry->exhausted())
        TRY(world.boot.MarkBad(record.update->slot));
      ForgetEtc(world, boot);  // the upper of the release that the slot held before
      break;
    default:
      break;
  }
  SettleAndExplain(world, record, found, boot, boot_id);
  // The newest release's rule counts, even after a rollback.
  const RunningRelease* running = boot.release();
  if (config.released_signatures && running && !running->on_trial &&
      KeptLast(record, running->root_hash))
    record.signatures = config.released_signatures;
  TRY(world.state.record().Save(record));
  return world.floor.Raise(record.index_floor);
}

// Healthy: the boot entry decides. The clean-up and the record follow; if they fail, the gate of
// the next boot does them.
Result<> CommitTrial(World& world, const Config& config, Record& record, const std::string& boot_id,
                     GateResult& result) {
  TRY_CONTEXT("bless", world.boot.MarkGood());
  TRY(world.state.MarkGateFinished());
  const Result<BootState> boot = world.boot.Read();
  Note(result,
       boot ? SettleBoot(world, config, record, Reconcile(record, *boot, boot_id), *boot, boot_id)
            : std::unexpected(boot.error()));
  return {};
}

// The record counts boots too: a loader that cannot write to its ESP would try a release for ever.
std::optional<Verdict> TooManyBoots(const UpdateRecord& trial, const Config& config) {
  if (trial.attempts.size() <= config.tries) return std::nullopt;
  return Verdict{.reason = std::format("booted {} times on trial, with {} tries: the boot loader "
                                       "does not count",
                                       trial.attempts.size(), config.tries)};
}

// A boot image that has rotted on the ESP may start all the same: nothing in it says that its files
// are whole. What cannot be read is not held against the release.
std::optional<Verdict> BadBootImage(World& world, Slot slot,
                                    const std::optional<Release>& release) {
  if (!release) return std::nullopt;
  const Result<> proven = ProveBootImage(world, slot, *release);
  if (proven || proven.error().code != Code::kNotTrusted) return std::nullopt;
  return Verdict{.reason = proven.error().message};
}

// True if this release passed a trial before and is only re-counted, for a planned reboot or by the
// rescue. Without a trial of its own it was counted together with the release in front of it. A
// record that knows nothing at all was lost.
bool GoodBefore(const Record& record, const UpdateRecord* trial) {
  return trial ? trial->was_good : record.update || !record.history.empty();
}

// Keeps an unhealthy release that was good before and is the last one that boots: a release that
// runs can still be examined.
Result<> Stay(World& world, const Config& config, Record& record, Slot slot,
              const ReleaseId& release, const std::string& boot_id, GateResult& result) {
  TRY(CommitTrial(world, config, record, boot_id, result));
  const Verdict& verdict = result.verdict;
  record.AddHistory({Outcome::kDegraded, world.clock.Now(), release, release.version, slot, 0,
                     "nothing to fall back to: " + verdict.reason, FailingOutput(verdict)});
  Note(result, world.state.record().Save(record));
  return {};
}

// Unhealthy: first the reason goes into the record, then the boot entry changes, then the reboot.
Result<> FallBack(World& world, Record& record, UpdateRecord* trial, const BootState& boot,
                  Slot slot, const ReleaseId& release, GateResult& result) {
  const Verdict& verdict = result.verdict;
  if (trial) {
    trial->failure = verdict.reason;
    trial->failure_output = FailingOutput(verdict);
  } else {  // otherwise the next boot could not tell that it fell back
    const uint64_t now = world.clock.Now();
    const ReleaseId to = IdentifySlot(world, boot, boot.target()).value_or(ReleaseId());
    record.GiveUp({Outcome::kFellBack, now, release, to.version, slot, 0, verdict.reason,
                   FailingOutput(verdict)});
  }
  Note(result, world.state.record().Save(record));
  if (trial) (void)BeginPostMortem(world, *trial, verdict);  // optional: the record has the essence
  TRY_CONTEXT("mark bad", world.boot.MarkBad(slot));
  TRY(world.power.Reboot());
  return world.state.MarkGateFinished();
}

// The rescue has no part in the trial. If renewing it fails, the next boot tries again.
void Renew(World& world, const Record& record, GateResult& result) {
  if (result.rebooting) return;
  const Result<bool> renewed = RenewRescue(world, record);
  if (!renewed) result.rescue_problem = renewed.error().message;
  result.rescue_renewed = renewed.value_or(false);
}

}  // namespace

Result<GateResult> RunGate(World& world, const Config& config) {
  Lock lock = TRY(world.state.WaitLock("hostctl gate", world.clock.Now()));
  // Temporary files only take up space.
  (void)world.boot.RemoveTemporaries();
  const std::string boot_id = TRY(world.power.BootId());
  const BootState boot = TRY(world.boot.Read());
  const RunningRelease running = TRY(RunningIn(boot));
  const std::optional<Release> known = ReleaseOf(world, running.root_hash);
  const ReleaseId release = IdentifyStaying(boot, known);
  GateResult result{.version = release.version, .on_trial = running.on_trial};
  Record record = LoadRecord(world, boot, &result.problems);
  const Situation found = Reconcile(record, boot, boot_id);
  Note(result, SettleBoot(world, config, record, found, boot, boot_id));

  const Result<std::optional<SelfTest>> tested = ContinueSelfTest(world, record, boot, boot_id);
  if (tested)
    result.selftest = *tested;
  else
    result.problems.push_back(tested.error().message);
  result.rebooting = result.selftest && record.SelfTesting();
  if (!result.rebooting && FlipIsMissing(record, boot)) {
    TRY_CONTEXT("mark bad", world.boot.MarkBad(running.slot));
    TRY(world.power.Reboot());
    result.given_up = result.rebooting = true;
  }
  if (!running.on_trial || result.rebooting) {
    TRY(world.state.MarkGateFinished());
    Renew(world, record, result);
    return result;
  }
  // If the attempt could not be recorded, the trial goes on: a full state partition is not the
  // release's fault, and only the explanation suffers.
  UpdateRecord* trial = found == Situation::kOnTrial ? &*record.update : nullptr;
  const bool good_before = GoodBefore(record, trial);
  std::optional<Verdict> verdict = trial ? TooManyBoots(*trial, config) : std::nullopt;
  if (!verdict) verdict = BadBootImage(world, running.slot, known);
  result.verdict =
      verdict
          ? *std::move(verdict)
          : WaitHealthy(world.health, world.clock, config.health,
                        {trial ? trial->failed_before : std::vector<std::string>(), good_before});
  if (result.verdict.healthy) {
    TRY(CommitTrial(world, config, record, boot_id, result));
  } else if (good_before && !CanFallBack(boot)) {
    TRY(Stay(world, config, record, running.slot, release, boot_id, result));
  } else {
    TRY(FallBack(world, record, trial, boot, running.slot, release, result));
    result.rebooting = true;
  }
  Renew(world, record, result);
  return result;
}

}  // namespace hostos

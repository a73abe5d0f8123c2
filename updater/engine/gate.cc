#include "updater/engine/post_mortem.h"
#include "updater/engine/reconcile.h"
#include "updater/engine/releases.h"
#include "updater/engine/rescue_image.h"
#include "updater/engine/rollback.h"
#include "updater/engine/selftest.h"
#include "updater/engine/update.h"
#include "updater/engine/view.h"

namespace hostos {
namespace {

// Failed, and does not decide.
void Note(GateResult& result, const Result<>& what) {
  if (!what) result.problems.push_back(what.error().message);
}

// Only now, after a trial: an upper that somebody may still boot with is not to be had again.
void ForgetEtc(World& world, const BootState& boot) {
  const Slot other = Other(boot.running);
  (void)world.state.ForgetEtc(boot.running_root_hash, boot.slot(other).root_hash);
}

// Those of releases that are in neither slot: the update that wrote over them may have failed to.
void ForgetCommits(World& world, const UpdateRecord& update) {
  if (!update.recount && update.from.commit != Digest())
    (void)world.state.ForgetExcept({update.target.commit, update.from.commit});
}

// What the last boots left: finish a commit that a power cut interrupted, or make sure that the
// loader does not try a release again that fell back. The record last: until then this is done
// again.
Result<> SettleBoot(World& world, const Config& config, Record& record, const BootState& boot,
                    const std::string& boot_id) {
  const Situation situation = Reconcile(record, boot, boot_id);
  switch (situation) {
    case Situation::kPassed:
      // Room, no more: nothing is wrong with a release that cannot make it.
      (void)world.source.Discard();
      ForgetEtc(world, boot);
      ForgetCommits(world, *record.update);
      // What it would have fallen back to was counted with it.
      if (const Slot other = Other(boot.running);
          boot.slot(other).root_hash == record.update->from.root_hash)
        TRY(world.boot.Uncount(other));
      break;
    case Situation::kFellBack:
      if (const BootEntry* entry = boot.EntryOf(record.update->slot); entry && !entry->exhausted())
        TRY(world.boot.MarkBad(record.update->slot));
      ForgetEtc(world, boot);  // that of what was in the slot before
      break;
    default:
      break;
  }
  SettleAndExplain(world, record, boot, boot_id);
  // Also after a rollback the newest release's word counts.
  if (config.released_signatures && !boot.on_trial && KeptLast(record, boot.running_root_hash))
    record.signatures = config.released_signatures;
  TRY(world.state.record().Save(record));
  return world.floor.Raise(record.index);
}

// Healthy: the boot entry decides. Then what is no longer needed, then the record of it: what fails
// there is done by the gate of the next boot.
Result<> Commit(World& world, const Config& config, Record& record, const std::string& boot_id,
                GateResult& result) {
  TRY_CONTEXT("bless", world.boot.Bless());
  TRY(world.state.MarkGateFinished());
  const Result<BootState> boot = world.boot.Read();
  Note(result,
       boot ? SettleBoot(world, config, record, *boot, boot_id) : std::unexpected(boot.error()));
  return {};
}

// The record counts too: a loader that can't write to its ESP would try a release for ever.
std::optional<Verdict> TooManyBoots(const UpdateRecord& trial, const Config& config) {
  if (trial.attempts.size() <= config.tries) return std::nullopt;
  return Verdict{.reason = std::format("booted {} times on trial, with {} tries: the boot loader "
                                       "does not count",
                                       trial.attempts.size(), config.tries)};
}

// Or was it only counted again, alone or with the release that it stood behind? A record that knows
// nothing at all was lost.
bool GoodBefore(const Record& record, const UpdateRecord* trial) {
  return trial ? trial->recount : record.update || !record.history.empty();
}

// It was good before, is unhealthy, and there is no release left but it: one that runs can still be
// looked at.
Result<> Stay(World& world, const Config& config, Record& record, const BootState& boot,
              const ReleaseId& release, const std::string& boot_id, GateResult& result) {
  TRY(Commit(world, config, record, boot_id, result));
  const Verdict& verdict = result.verdict;
  record.AddHistory({Outcome::kDegraded, world.clock.Now(), release, release.version, boot.running,
                     0, "nothing to fall back to: " + verdict.reason, FailingOutput(verdict)});
  Note(result, world.state.record().Save(record));
  return {};
}

// Unhealthy: why, then the boot entry, then the reboot.
Result<> FallBack(World& world, Record& record, UpdateRecord* trial, const BootState& boot,
                  const ReleaseId& release, GateResult& result) {
  const Verdict& verdict = result.verdict;
  if (trial) {
    trial->failure = verdict.reason;
    trial->failure_output = FailingOutput(verdict);
  } else {  // the next boot could not tell from the record that it fell back
    const uint64_t now = world.clock.Now();
    const ReleaseId to = IdentifySlot(world, boot, Other(boot.running)).value_or(ReleaseId());
    record.Deny(release, now, verdict.reason, 0);
    record.AddHistory({Outcome::kFellBack, now, release, to.version, boot.running, 0,
                       verdict.reason, FailingOutput(verdict)});
  }
  Note(result, world.state.record().Save(record));
  if (trial) (void)BeginPostMortem(world, *trial, verdict);  // the record has the essence
  TRY_CONTEXT("mark bad", world.boot.MarkBad(boot.running));
  TRY(world.power.Reboot());
  return world.state.MarkGateFinished();
}

// The last line of defence is not what a trial is about: it is tried again at the next boot.
void Renew(World& world, const Record& record, GateResult& result) {
  if (result.rebooting) return;
  const Result<bool> renewed = RenewRescue(world, record);
  if (!renewed) result.rescue_problem = renewed.error().message;
  result.rescue_renewed = renewed.value_or(false);
}

}  // namespace

Result<GateResult> RunGate(World& world, const Config& config) {
  Lock lock = TRY(world.state.WaitLock("hostctl gate", world.clock.Now()));
  // They take up space, and decide nothing.
  (void)world.boot.RemoveTemporaries();
  const std::string boot_id = TRY(world.power.BootId());
  const BootState boot = TRY(world.boot.Read());
  const ReleaseId running = IdentifyRunning(boot, ReleaseOf(world, boot.running_root_hash));
  GateResult result{.version = running.version, .on_trial = boot.on_trial};
  Record record = LoadRecord(world, boot, &result.problems);
  Note(result, SettleBoot(world, config, record, boot, boot_id));

  const Result<std::optional<SelfTest>> tested = ContinueSelfTest(world, record, boot, boot_id);
  if (tested)
    result.selftest = *tested;
  else
    result.problems.push_back(tested.error().message);
  result.rebooting = result.selftest && record.SelfTesting();
  if (!result.rebooting && FlipIsMissing(record, boot)) {
    TRY_CONTEXT("mark bad", world.boot.MarkBad(boot.running));
    TRY(world.power.Reboot());
    result.given_up = result.rebooting = true;
  }
  if (!boot.on_trial || result.rebooting) {
    TRY(world.state.MarkGateFinished());
    Renew(world, record, result);
    return result;
  }
  // A full state partition is not the release's fault: that the attempt is not in the record only
  // explains less.
  const bool recorded = Reconcile(record, boot, boot_id) == Situation::kOnTrial;
  UpdateRecord* trial = recorded ? &*record.update : nullptr;
  const bool good_before = GoodBefore(record, trial);
  std::optional<Verdict> verdict = trial ? TooManyBoots(*trial, config) : std::nullopt;
  result.verdict =
      verdict ? *std::move(verdict)
              : WaitHealthy(world.health, world.clock, config.health,
                            {trial ? trial->before : std::vector<std::string>(), good_before});
  if (result.verdict.healthy) {
    TRY(Commit(world, config, record, boot_id, result));
  } else if (good_before && !CanFallBack(boot)) {
    TRY(Stay(world, config, record, boot, running, boot_id, result));
  } else {
    TRY(FallBack(world, record, trial, boot, running, result));
    result.rebooting = true;
  }
  Renew(world, record, result);
  return result;
}

}  // namespace hostos

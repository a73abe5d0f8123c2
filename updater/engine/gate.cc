#include "updater/engine/post_mortem.h"
#include "updater/engine/reconcile.h"
#include "updater/engine/releases.h"
#include "updater/engine/selftest.h"
#include "updater/engine/update.h"
#include "updater/engine/view.h"

namespace hostos {
namespace {

// What the last boots left: finish a commit that a power cut interrupted, or make sure that the
// loader does not try a release again that fell back. The record last: until then this is done
// again.
Result<> SettleBoot(World& world, Record& record, const BootState& boot,
                    const std::string& boot_id) {
  const Situation situation = Reconcile(record, boot, boot_id);
  switch (situation) {
    case Situation::kPassed:
      // Room that the next fetch makes too: nothing is wrong with a release because of it.
      (void)world.source.Discard();
      // What it would have fallen back to was counted with it.
      if (const Slot other = Other(boot.running);
          boot.slot(other).root_hash == record.update->from.root_hash)
        TRY(world.boot.Uncount(other));
      break;
    case Situation::kFellBack:
      if (const BootEntry* entry = boot.EntryOf(record.update->slot); entry && !entry->exhausted())
        TRY(world.boot.MarkBad(record.update->slot));
      break;
    default:
      break;
  }
  SettleAndExplain(world, record, boot, boot_id);
  TRY(world.state.record().Save(record));
  return world.floor.Raise(record.index);
}

// Healthy: the boot entry first, then what is no longer needed, then the record of it.
Result<> Commit(World& world, Record& record, const std::string& boot_id) {
  TRY_CONTEXT("bless", world.boot.Bless());
  TRY(world.state.MarkGateFinished());
  return SettleBoot(world, record, TRY(world.boot.Read()), boot_id);
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

bool CanFallBack(const BootState& boot) {
  const BootEntry* other = boot.EntryOf(Other(boot.running));
  return other && !other->exhausted();
}

// It was good before, is unhealthy, and there is no release left but it: one that runs can still be
// looked at.
Result<> Stay(World& world, Record& record, const BootState& boot, const Verdict& verdict,
              const std::string& boot_id) {
  const ReleaseId release = TRY(IdentifySlot(world, boot, boot.running));
  TRY(Commit(world, record, boot_id));
  record.AddHistory({Outcome::kDegraded, world.clock.Now(), release, release.version, boot.running,
                     0, "nothing to fall back to: " + verdict.reason, FailingOutput(verdict)});
  return world.state.record().Save(record);
}

// Unhealthy: why, then the boot entry, then the reboot.
Result<> FallBack(World& world, Record& record, UpdateRecord* trial, const BootState& boot,
                  const Verdict& verdict) {
  Result<> explained;
  if (trial) {
    trial->failure = verdict.reason;
    trial->failure_output = FailingOutput(verdict);
    explained = world.state.record().Save(record);
    (void)BeginPostMortem(world, *trial, verdict);  // the record has the essence
  }
  TRY_CONTEXT("mark bad", world.boot.MarkBad(boot.running));
  TRY(world.power.Reboot());
  TRY(world.state.MarkGateFinished());
  return explained;
}

}  // namespace

Result<GateResult> RunGate(World& world, const Config& config) {
  Lock lock = TRY(world.state.WaitLock("hostctl gate", world.clock.Now()));
  // They take up space, and decide nothing.
  (void)world.boot.RemoveTemporaries();
  const std::string boot_id = TRY(world.power.BootId());
  const BootState boot = TRY(world.boot.Read());
  Record record = TRY(LoadRecord(world, boot));
  const Result<> settled = SettleBoot(world, record, boot, boot_id);

  const Result<std::optional<SelfTest>> tested = ContinueSelfTest(world, record, boot, boot_id);

  GateResult result{.on_trial = boot.on_trial};
  if (tested) result.selftest = *tested;
  result.rebooting = result.selftest && record.SelfTesting();
  if (!boot.on_trial || result.rebooting) {
    TRY(world.state.MarkGateFinished());
    TRY(settled);
    TRY(tested);
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
    TRY(Commit(world, record, boot_id));
  } else if (good_before && !CanFallBack(boot)) {
    TRY(Stay(world, record, boot, result.verdict, boot_id));
  } else {
    TRY(FallBack(world, record, trial, boot, result.verdict));
    result.rebooting = true;
  }
  return result;
}

}  // namespace hostos

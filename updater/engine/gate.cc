#include "updater/engine/releases.h"
#include "updater/engine/reconcile.h"
#include "updater/engine/update.h"

namespace hostos {
namespace {

// The failing check's output, for the record.
std::string FailingOutput(const Verdict& verdict) {
  for (const CheckResult& check : verdict.checks)
    if (check.required && !check.ok) return check.output.empty() ? check.detail : check.output;
  return {};
}

// What the last boots left: finish a commit whose record was lost to a power cut, or take note of a
// fallback and make sure that the loader does not try that release again.
Result<> SettleLastBoot(World& world, Record& record, const BootState& boot,
                        const std::string& boot_id) {
  const Situation situation = Reconcile(record, boot, boot_id);
  const std::optional<UpdateRecord> update = record.update;
  record = Settle(std::move(record), boot, boot_id, world.clock.Now());
  TRY(world.state.record().Save(record));
  if (situation == Situation::kPassed) return world.source.Discard();
  if (situation == Situation::kFellBack) {
    const BootEntry* entry = boot.EntryOf(update->slot);
    if (entry && !entry->exhausted()) return world.boot.MarkBad(update->slot);
  }
  return {};
}

// Healthy: the boot entry first, then the record of it, then what is no longer needed.
Result<> Commit(World& world, Record& record, const std::string& boot_id) {
  TRY_CONTEXT("bless", world.boot.Bless());
  TRY(world.state.MarkGateFinished());
  const BootState boot = TRY(world.boot.Read());
  record = Settle(std::move(record), boot, boot_id, world.clock.Now());
  TRY(world.state.record().Save(record));
  return world.source.Discard();
}

// Unhealthy: why, then the boot entry, then the reboot.
Result<> FallBack(World& world, Record& record, const BootState& boot, const Verdict& verdict) {
  if (record.update) {
    record.update->failure = verdict.reason;
    record.update->failure_output = FailingOutput(verdict);
    TRY(world.state.record().Save(record));
  }
  TRY_CONTEXT("mark bad", world.boot.MarkBad(boot.running));
  return world.power.Reboot();
}

}  // namespace

Result<GateResult> RunGate(World& world, const Config& config) {
  Lock lock = TRY(world.state.WaitLock("hostctl gate", world.clock.Now()));
  const std::string boot_id = TRY(world.power.BootId());
  const BootState boot = TRY(world.boot.Read());
  Record record = TRY(world.state.record().Load());
  TRY(SettleLastBoot(world, record, boot, boot_id));

  GateResult result{.on_trial = boot.on_trial};
  if (!boot.on_trial) {
    TRY(world.state.MarkGateFinished());
    return result;
  }
  result.verdict = WaitHealthy(world.health, world.clock, config.health);
  if (result.verdict.healthy) {
    TRY(Commit(world, record, boot_id));
  } else {
    TRY(FallBack(world, record, boot, result.verdict));
    result.rebooting = true;
  }
  return result;
}

}  // namespace hostos

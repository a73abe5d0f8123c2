#include "updater/engine/view.h"

#include "updater/engine/post_mortem.h"
#include "updater/engine/releases.h"

namespace hostos {
namespace {

// Whether the last boot was one of the update's own. In the rescue system the other release may
// have booted after it.
bool BootedLast(const UpdateRecord& update, const BootState& boot) {
  const BootEntry* other = boot.EntryOf(Other(update.slot));
  return boot.release() || !other || !other->tries || other->tries->done == 0;
}

}  // namespace

void SettleAndExplain(World& world, Record& record, Situation found, const BootState& boot,
                      const std::string& boot_id) {
  const std::optional<UpdateRecord> update = record.update;
  record = Settle(std::move(record), found, boot, boot_id, world.clock.Now());
  if (found != Situation::kFellBack) return;
  const Result<PostMortem> post_mortem =
      FinishPostMortem(world, *update, record.history.back(), BootedLast(*update, boot));
  if (!post_mortem || !update->failure.empty()) return;  // a missing one only explains less
  record.Explain(post_mortem->cause);
}

Result<View> Look(World& world) {
  View view{.boot = TRY(world.boot.Read()), .running = {}, .record = {}, .boot_id = {}};
  view.running = TRY(RunningIn(view.boot));
  view.boot_id = TRY(world.power.BootId());
  view.record = LoadRecord(world, view.boot);
  view.record = Settle(view.record, view.boot, view.boot_id, world.clock.Now());
  return view;
}

Result<RunningRelease> RunningIn(const BootState& boot) {
  if (const RunningRelease* running = boot.release()) return *running;
  return Fail(Code::kNotSupported, "the rescue system runs, and not a release: see hostctl rescue");
}

Result<> RecordRecount(World& world, Record& record, const std::string& boot_id, Slot slot,
                       const ReleaseId& target, const ReleaseId& from) {
  record.update = UpdateRecord{.phase = Phase::kArmed,
                               .target = target,
                               .slot = slot,
                               .from = from,
                               .started = world.clock.Now(),
                               .armed_boot_id = boot_id,
                               .failed_before = record.known,
                               .was_good = true};
  return world.state.record().Save(record);
}

}  // namespace hostos

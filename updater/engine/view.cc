#include "updater/engine/view.h"

#include "updater/engine/post_mortem.h"
#include "updater/engine/reconcile.h"
#include "updater/engine/releases.h"

namespace hostos {
namespace {

// Is what the last boot left its own? In the rescue system the other release may have been booted
// after it.
bool BootedLast(const UpdateRecord& update, const BootState& boot) {
  const BootEntry* other = boot.EntryOf(Other(update.slot));
  return !boot.rescue || !other || !other->tries || other->tries->done == 0;
}

}  // namespace

void SettleAndExplain(World& world, Record& record, const BootState& boot,
                      const std::string& boot_id) {
  const bool fell_back = Reconcile(record, boot, boot_id) == Situation::kFellBack;
  const std::optional<UpdateRecord> update = record.update;
  record = Settle(std::move(record), boot, boot_id, world.clock.Now());
  if (!fell_back) return;
  const Result<PostMortem> found =
      FinishPostMortem(world, *update, record.history.back(), BootedLast(*update, boot));
  if (!found || !update->failure.empty()) return;  // it is only explained less
  record.history.back().reason += "; " + found->cause;
  record.denied.back().reason = record.history.back().reason;
}

Result<View> Look(World& world) {
  View view{TRY(world.boot.Read()), {}, TRY(world.power.BootId())};
  view.record = LoadRecord(world, view.boot);
  view.record = Settle(std::move(view.record), view.boot, view.boot_id, world.clock.Now());
  return view;
}

Result<> RecordRecount(World& world, View& view, Slot slot, const ReleaseId& target,
                       const ReleaseId& from) {
  view.record.update = UpdateRecord{.phase = Phase::kArmed,
                                    .target = target,
                                    .slot = slot,
                                    .from = from,
                                    .started = world.clock.Now(),
                                    .armed_boot_id = view.boot_id,
                                    .before = view.record.known,
                                    .recount = true};
  return world.state.record().Save(view.record);
}

}  // namespace hostos

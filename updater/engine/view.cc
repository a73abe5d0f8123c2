#include "updater/engine/view.h"

#include "updater/engine/reconcile.h"
#include "updater/engine/releases.h"

namespace hostos {

Result<View> Look(World& world) {
  View view{TRY(world.boot.Read()), {}, TRY(world.power.BootId())};
  view.record = TRY(LoadRecord(world, view.boot));
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
                                    .recount = true};
  return world.state.record().Save(view.record);
}

}  // namespace hostos

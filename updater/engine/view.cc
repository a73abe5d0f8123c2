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

}  // namespace hostos

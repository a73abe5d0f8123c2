// What a verb of the engine decides on: the evidence, and the record brought in line with it.
#pragma once

#include <string>

#include "updater/engine/world.h"

namespace hostos {

struct View {
  BootState boot;
  Record record;
  std::string boot_id;
};

// One look at the machine. Saves nothing.
Result<View> Look(World& world);

}  // namespace hostos

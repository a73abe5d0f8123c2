// What the command line and the configuration together ask of an update.
#pragma once

#include "updater/engine/config.h"
#include "updater/engine/update.h"
#include "updater/hostctl/command.h"

namespace hostos {

UpdateOptions OptionsOf(const Invocation& invocation, const Config& config);

// kUsage when neither says where releases come from, or in a way that is not allowed.
Result<> NeedSource(const Invocation& invocation, const Config& config);

}  // namespace hostos

// How long a test lets something take.
#pragma once

#include "updater/base/clock.h"

namespace hostos {

constexpr Milliseconds kAmple = Seconds(60);  // for what comes to an end
constexpr Milliseconds kShort = Seconds(1);   // for what never does

}  // namespace hostos

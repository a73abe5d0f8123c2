// One check of this machine, with its share of the time.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "updater/health/deadline.h"
#include "updater/health/health.h"

namespace hostos {

Result<std::string> NotTried(std::string_view why);

// Its detail says what it found, or why it fails.
CheckResult RunCheck(const std::string& name, Milliseconds limit,
                     const std::function<Result<std::string>(const Deadline&)>& run);

}  // namespace hostos

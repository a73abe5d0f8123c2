// The data of hostimage(1), from the command table, for the man page and the bash completion.
#pragma once

#include "updater/hostctl/manual.h"

namespace hostos {

inline constexpr std::string_view kHostimage = "hostimage";
inline constexpr std::string_view kHostimageSummary =
    "makes, proves and installs releases of HostOS";

Manual HostimageManual();

}  // namespace hostos

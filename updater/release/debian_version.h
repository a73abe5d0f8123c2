// Versions of Debian packages (deb-version(7)): [EPOCH:]UPSTREAM[-REVISION].
#pragma once

#include <string_view>

namespace hostos {

// As `dpkg --compare-versions`: below 0 when `a` is the earlier one. Any text has a place.
int CompareDebianVersions(std::string_view a, std::string_view b);

// Characters that a version may have, as dpkg reads it: what comes after the epoch begins with a
// digit in packages of Debian only.
bool IsDebianVersion(std::string_view text);

// A source or binary package may be called so.
bool IsDebianName(std::string_view text);

}  // namespace hostos

// Debian's names of licences, as SPDX writes them.
#pragma once

#include <string>
#include <string_view>

namespace hostos {

// "GPL-2.0-or-later" for "GPL-2+", "MIT" for "Expat"; "" for a name that means nothing certain to
// SPDX, such as "GPL", "public-domain" or one that somebody made up.
std::string SpdxLicence(std::string_view name);

// A text as an SPDX identifier may be: letters, digits, '.' and '-'. Different texts stay
// different.
std::string SpdxName(std::string_view text);

}  // namespace hostos

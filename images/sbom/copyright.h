// The licences that a Debian copyright file declares.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace hostos {

// A larger copyright file is an error: the largest of Debian's are under 2 MB.
inline constexpr size_t kMaxCopyright = 8 << 20;

struct Licences {
  std::string expression;  // of SPDX; "" when the file does not say, in a form that programs read
  std::map<std::string, std::string> references;  // "LicenseRef-..." in it: what Debian calls it
};

// Every licence that a file of the machine-readable format 1.0 names for files of the source, all
// of them joined by AND. For any other file, and for one that leaves some of its files' licences
// open, the expression is empty.
Licences LicencesOf(std::string_view copyright);

}  // namespace hostos

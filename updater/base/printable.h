// Makes the output of other programs safe for a terminal, a log and JSON: valid UTF-8 without
// control characters.
#pragma once

#include <string>
#include <string_view>

namespace hostos {

// Keeps newlines and tabs; every other control character and every invalid byte becomes '?'.
std::string Printable(std::string_view text);

// The same on one line: runs of white space become one space, and none remains at either end.
std::string OneLine(std::string_view text);

}  // namespace hostos

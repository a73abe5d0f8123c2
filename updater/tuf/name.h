// Makes names that others chose (roles, targets) fit for URLs, file names and messages.
#pragma once

#include <string>
#include <string_view>

namespace hostos::tuf {

// Percent-encodes (RFC 3986) all but letters, digits and "-._~". No '/' remains, so a name becomes
// one file name inside the directory meant for it.
std::string EncodeName(std::string_view name);

// The same for a path: '/' also stays.
std::string EncodePath(std::string_view path);

// Whether a path stays below the directory it is put into: no part of it is empty, "." or "..".
bool StaysBelow(std::string_view path);

}  // namespace hostos::tuf

// Names that others chose (roles, targets), made fit for a URL, a file name and a message.
#pragma once

#include <string>
#include <string_view>

namespace hostos::tuf {

// Percent-encoded (RFC 3986): only letters, digits and "-._~" stay as they are. No '/' is left, so
// a name ends up as one file name below the directory it is meant for.
std::string EncodeName(std::string_view name);

// The same of a path: '/' stays too.
std::string EncodePath(std::string_view path);

// Does a path stay below the directory that it is put into? No part of it is empty, "." or "..".
bool StaysBelow(std::string_view path);

}  // namespace hostos::tuf

// The line format in which systemd-boot reads os-release, loader.conf and Type #1 entries: a key,
// one or more separators, and a value that may be quoted. '#' lines and lines without a separator
// are skipped.
#pragma once

#include <string_view>

namespace hostos {

// Takes lines off the front of `text` until one has a key and a separator; false at the end. Text
// ends at the first NUL, as it does for the loader.
bool NextLoaderLine(std::string_view& text, std::string_view separators, std::string_view& key,
                    std::string_view& value);

}  // namespace hostos

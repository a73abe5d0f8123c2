#include "bootctl/loader_lines.h"

#include "updater/base/text.h"

namespace hostos {
namespace {

std::string_view Unquote(std::string_view value) {
  for (char quote : {'"', '\''})
    if (value.size() >= 2 && value.front() == quote && value.back() == quote)
      return value.substr(1, value.size() - 2);
  return value;
}

}  // namespace

bool NextLoaderLine(std::string_view& text, std::string_view separators, std::string_view& key,
                    std::string_view& value) {
  text = text.substr(0, text.find('\0'));
  while (!text.empty()) {
    const size_t end = text.find_first_of("\n\r");
    const std::string_view line = Trim(text.substr(0, end));
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
    const size_t separator = line.find_first_of(separators);
    if (line.starts_with('#') || separator == line.npos) continue;
    key = line.substr(0, separator);
    const size_t start = line.find_first_not_of(separators, separator);
    value = start == line.npos ? std::string_view() : Unquote(line.substr(start));
    return true;
  }
  return false;
}

}  // namespace hostos

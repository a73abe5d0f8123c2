#include "images/sbom/paragraphs.h"

#include <algorithm>

#include "updater/base/text.h"

namespace hostos {

std::string_view Paragraph::Get(std::string_view name) const {
  for (const auto& [key, value] : fields)
    if (key == name) return value;
  return {};
}

Result<std::vector<Paragraph>> ParseParagraphs(std::string_view text) {
  std::vector<Paragraph> paragraphs;
  bool inside = false;
  for (size_t number = 1; !text.empty(); number++) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (Trim(line).empty()) {
      inside = false;
      continue;
    }
    if (line.starts_with('#')) continue;
    if (inside && (line.starts_with(' ') || line.starts_with('\t'))) {
      paragraphs.back().fields.back().second += "\n" + std::string(line);
      continue;
    }
    const size_t colon = line.find(':');
    const std::string name = Lower(line.substr(0, colon));
    if (colon == line.npos || name.empty() || name.find_first_of(" \t") != name.npos)
      return Fail(Code::kFailed, "line {}: expected a field such as Package: NAME, found '{}'",
                  number, line.substr(0, 80));
    if (!inside) paragraphs.push_back({.line = number, .fields = {}});
    inside = true;
    auto& fields = paragraphs.back().fields;
    if (std::ranges::contains(fields, name, &std::pair<std::string, std::string>::first))
      return Fail(Code::kFailed,
                  "line {}: expected the field {} once in a paragraph, found it twice", number,
                  line.substr(0, colon));
    fields.emplace_back(name, Trim(line.substr(colon + 1)));
  }
  return paragraphs;
}

}  // namespace hostos

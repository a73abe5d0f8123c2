// Debian's control files (deb822(5)): paragraphs of fields, as in dpkg's status and in copyright
// files.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

struct Paragraph {
  size_t line = 0;  // where it begins, from 1
  // By lower-case name. A value has its lines as they are, joined by newlines, without the space
  // around the first.
  std::vector<std::pair<std::string, std::string>> fields;

  // "" when there is no such field.
  std::string_view Get(std::string_view name) const;
};

// kFailed names the line that is neither a field nor the continuation of one, or a field that is
// there twice.
Result<std::vector<Paragraph>> ParseParagraphs(std::string_view text);

}  // namespace hostos

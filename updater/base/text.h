// Words and letters, where the language has nothing for them.
#pragma once

#include <ranges>
#include <string>
#include <string_view>

namespace hostos {

// "a, b, c".
inline std::string Joined(const std::ranges::input_range auto& words,
                          std::string_view separator = ", ") {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += separator;
    text += word;
  }
  return text;
}

// In ASCII; names on a FAT have no case.
inline std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  return lower;
}

}  // namespace hostos

// String helpers that the language lacks.
#pragma once

#include <cstdint>
#include <format>
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

// Without spaces, tabs and ends of lines around it.
inline std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// "12.3 MB", of a million bytes.
inline std::string Megabytes(uint64_t bytes) {
  return std::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

// Only ASCII letters. Names on a FAT have no case.
inline std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  return lower;
}

}  // namespace hostos

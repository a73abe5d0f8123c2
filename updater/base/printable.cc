#include "updater/base/printable.h"

#include <cstdint>

namespace hostos {
namespace {

// Length of the UTF-8 sequence at the start of `text`; 0 when it is invalid (RFC 3629, section 4).
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  size_t length = byte(0) < 0x80                      ? 1
                  : byte(0) >= 0xc2 && byte(0) < 0xe0 ? 2
                  : (byte(0) & 0xf0) == 0xe0          ? 3
                  : byte(0) >= 0xf0 && byte(0) < 0xf5 ? 4
                                                      : 0;
  if (length > text.size()) return 0;
  for (size_t i = 1; i < length; i++)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if (length < 3) return length;
  const uint32_t head = byte(0) << 8 | byte(1);
  const bool overlong = head < 0xe0a0 || (head >= 0xf000 && head < 0xf090);
  const bool surrogate = head >= 0xeda0 && head < 0xee00;
  const bool beyond = head >= 0xf490;
  return overlong || surrogate || beyond ? 0 : length;
}

bool IsControl(std::string_view sequence) {
  const auto first = static_cast<uint8_t>(sequence[0]);
  const bool c1 = first == 0xc2 && static_cast<uint8_t>(sequence[1]) < 0xa0;
  return first < 0x20 || first == 0x7f || c1;
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    const std::string_view sequence = text.substr(0, length);
    if (length == 0 || (IsControl(sequence) && sequence != "\n" && sequence != "\t"))
      result += '?';
    else
      result += sequence;
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return result;
}

std::string OneLine(std::string_view text) {
  std::string line;
  for (char c : Printable(text)) {
    const bool space = c == ' ' || c == '\n' || c == '\t';
    if (!space)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  if (line.ends_with(' ')) line.pop_back();
  return line;
}

}  // namespace hostos

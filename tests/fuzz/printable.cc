#include "updater/base/printable.h"

#include <algorithm>

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(printable, input) {
  const std::string text = Printable(input);
  PROMISE(Printable(text) == text);
  PROMISE(std::ranges::none_of(
      text, [](unsigned char c) { return (c < ' ' && c != '\n' && c != '\t') || c == 0x7f; }));
  const std::string line = OneLine(input);
  PROMISE(!line.contains('\n') && !line.contains("  "));
}

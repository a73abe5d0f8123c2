#include "bootctl/loader_lines.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(loader_lines, input) {
  for (const std::string_view separators : {" \t", "="}) {
    std::string_view rest = input, key, value;
    size_t left = rest.size() + 1;
    while (NextLoaderLine(rest, separators, key, value)) {
      PROMISE(rest.size() < left);
      left = rest.size();
      PROMISE(!key.contains('\n') && !value.contains('\n'));
    }
  }
}

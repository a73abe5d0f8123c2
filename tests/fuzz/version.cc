// Two versions with a NUL between them.
#include "bootctl/boot_control.h"
#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(version, input) {
  const size_t end = std::min(input.find('\0'), input.size());
  const std::string_view a = input.substr(0, end);
  const std::string_view b = input.substr(std::min(end + 1, input.size()));
  PROMISE(CompareVersions(a, a) == 0);
  PROMISE((CompareVersions(a, b) < 0) == (CompareVersions(b, a) > 0));
  PROMISE((CompareVersions(a, b) == 0) == (CompareVersions(b, a) == 0));
}

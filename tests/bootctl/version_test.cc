#include <catch2/catch_test_macros.hpp>

#include "bootctl/boot_control.h"

namespace hostos {
namespace {

void CheckNewer(std::string_view newer, std::string_view older) {
  CAPTURE(newer, older);
  CHECK(CompareVersions(newer, older) > 0);
  CHECK(CompareVersions(older, newer) < 0);
}

void CheckEqual(std::string_view a, std::string_view b) {
  CAPTURE(a, b);
  CHECK(CompareVersions(a, b) == 0);
  CHECK(CompareVersions(b, a) == 0);
}

TEST_CASE("versions sort as in the examples of the version format specification") {
  const std::string_view oldest_first[] = {
      "~1",    "",        "ab",         "abb",   "abc",     "0001",    "002",    "12",
      "122",   "122.9",   "123~rc1",    "123",   "123-a",   "123-a.1", "123-a1", "123-a1.1",
      "123-3", "123-3.1", "123^patch1", "123^1", "123.a-1", "123.1-1", "123a-1", "124"};
  for (size_t older = 0; older < std::size(oldest_first); older++)
    for (size_t newer = older + 1; newer < std::size(oldest_first); newer++)
      CheckNewer(oldest_first[newer], oldest_first[older]);

  CheckEqual("11", "11");
  CheckEqual("systemd-123", "systemd-123");
  CheckNewer("foo-123", "bar-123");
  CheckNewer("123a", "123");
  CheckNewer("123.a", "123");
  CheckNewer("123.b", "123.a");
  CheckNewer("123a", "123.a");
  CheckEqual("11α", "11β");
  CheckNewer("a", "B");
  CheckNewer("0", "");
  CheckNewer("0.", "0");
  CheckNewer("0.0", "0");
  CheckNewer("0", "~");
  CheckNewer("", "~");
  CheckEqual("1_", "1");
  CheckEqual("_1", "1");
  CheckNewer("1.2", "1_");
  CheckNewer("1_2_3", "1.3.3");
  CheckEqual("1+", "1");
  CheckEqual("+1", "1");
  CheckNewer("1.2", "1+");
  CheckNewer("1+2+3", "1.3.3");
}

TEST_CASE("the corners of version comparison are as in systemd 257") {
  CheckNewer("123.45-67.89", "123.45-67.ab");
  CheckNewer("123.45-67.89", "123-99.99");
  CheckNewer("123^aa2-67.89", "123~rc1-99.99");
  CheckNewer("123aa2-67.89", "123^aa2-67.89");
  CheckEqual("123_aa2-67.89", "123aa+2-67.89");
  CheckNewer("123", "12_3");
  CheckNewer("12_3", "12.3");
  CheckNewer("123_0", "123");
  CheckNewer("123.0", "123..0");
  CheckEqual("10.0001", "10.1");
  CheckEqual("", "_");
  CheckEqual("~", "~");
  CheckNewer("10", "9");
  CheckNewer("99999999999999999999999", "99999999999999999999998");
}

TEST_CASE("comparing versions is a total preorder") {
  const char alphabet[] = {'0', '1', 'a', 'b', '.', '-', '~', '^', '_'};
  std::vector<std::string> all = {""};
  for (size_t from = 0; all.size() < 820;) {  // every string of up to three characters
    const std::string prefix = all[from++];
    for (char c : alphabet) all.push_back(prefix + c);
  }
  for (const std::string& a : all) {
    CHECK(CompareVersions(a, a) == 0);
    for (const std::string& b : all)
      if ((CompareVersions(a, b) < 0) != (CompareVersions(b, a) > 0)) FAIL(a << " against " << b);
  }
}

}  // namespace
}  // namespace hostos

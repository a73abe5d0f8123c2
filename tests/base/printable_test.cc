#include "updater/base/printable.h"

#include <catch2/catch_test_macros.hpp>

namespace hostos {
namespace {

TEST_CASE("text that is fit to be printed is kept as it is") {
  CHECK(Printable("plain, with\ttab\nand line") == "plain, with\ttab\nand line");
  CHECK(Printable("h\u00e9 \u20ac \U0001f600") == "h\u00e9 \u20ac \U0001f600");
}

TEST_CASE("control characters and what is not UTF-8 become question marks") {
  CHECK(Printable("\x1b[31mred\x07\x7f\r") == "?[31mred???");
  CHECK(Printable(std::string_view("a\0b", 3)) == "a?b");
  CHECK(Printable("\xc2\x9b") == "?");             // C1 CSI
  CHECK(Printable("\xff\xc3") == "??");            // no start byte; cut short
  CHECK(Printable("\xc0\xaf") == "??");            // overlong
  CHECK(Printable("\xe0\x80\xaf") == "???");       // overlong
  CHECK(Printable("\xed\xa0\x80") == "???");       // surrogate
  CHECK(Printable("\xf4\x90\x80\x80") == "????");  // beyond U+10FFFF
  CHECK(Printable("\xf0\x80\x80\x80") == "????");  // overlong
}

TEST_CASE("one line has no line breaks and single spaces") {
  CHECK(OneLine("  failed:\n\tno such\n\n file \n") == "failed: no such file");
  CHECK(OneLine("") == "");
}

}  // namespace
}  // namespace hostos

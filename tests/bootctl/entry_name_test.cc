#include "bootctl/entry_name.h"

#include <catch2/catch_test_macros.hpp>

namespace hostos {
namespace {

TEST_CASE("a counter at the end of a name is read, and written as the loader writes it") {
  const auto counted = ParseEntryName("hostos_1.1.0_94cf66c6+2-1.efi");
  REQUIRE(counted);
  CHECK(counted->stem == "hostos_1.1.0_94cf66c6");
  CHECK(counted->tries == Tries{2, 1});
  CHECK(ParseEntryName("x+3.efi")->tries == Tries{3, 0});
  CHECK(ParseEntryName("x+0-2147483647.EFI")->tries == Tries{0, 2147483647});

  CHECK(FormatEntryName("x", std::nullopt) == "x.efi");
  CHECK(FormatEntryName("x", Tries{3, 0}) == "x+3.efi");
  CHECK(FormatEntryName("x", Tries{0, 0}) == "x+0.efi");
  CHECK(FormatEntryName("x", Tries{2, 1}) == "x+2-1.efi");
}

TEST_CASE("what is no counter belongs to the name") {
  for (const char* stem : {"x", "x+", "x+a", "x+3-", "x+3-a", "x+-1", "x+3 ", "x+2147483648",
                           "x+99999999999999999999", "x+3-2147483648", "x+3+", "+3_x"}) {
    CAPTURE(stem);
    const auto name = ParseEntryName(std::string(stem) + ".efi");
    REQUIRE(name);
    CHECK(name->stem == stem);
    CHECK_FALSE(name->tries);
  }
  CHECK(ParseEntryName("x+1+2.efi")->stem == "x+1");  // the last '+' counts
}

TEST_CASE("the loader does not list hidden, automatic or other files") {
  for (const char* file : {"", ".efi", ".x.efi", "auto-x.efi", "AUTO-x.efi", "x.efi.tmp", "x.conf"})
    CHECK_FALSE(ParseEntryName(file));
  CHECK(ParseEntryName("x.conf", ".conf"));
}

TEST_CASE("names of releases are told from foreign ones") {
  Digest hash;
  hash.bytes.fill(0x5f);
  const std::string stem = ReleaseStem("1.1.0", hash);
  CHECK(stem == "hostos_1.1.0_5f5f5f5f");
  CHECK(IsReleaseStem(stem));
  CHECK(IsReleaseFile(stem + ".efi"));
  CHECK(IsReleaseFile(stem + "+3-1.efi"));
  CHECK(IsReleaseFile(TemporaryName(stem)));
  CHECK_FALSE(ParseEntryName(TemporaryName(stem)));  // the loader must not list it
  for (const char* file :
       {"debian.efi", "hostos.efi", "hostos_1.1.0.efi", "hostos__5f5f5f5f.efi",
        "hostos_1.1.0_5F5F5F5F.efi", "hostos_1.1.0_5f5f5f5.efi", "hostos_1_0_5f5f5f5f.efi",
        "hostos_1.1.0_5f5f5f5f+x.efi", "hostos_1.1.0_5f5f5f5f.tmp", "loader/entries/x.conf"})
    CHECK_FALSE(IsReleaseFile(file));
}

TEST_CASE("names of rescues are told from those of releases and foreign ones") {
  Digest hash;
  hash.bytes.fill(0x5f);
  CHECK(RescueFile(hash) == "hostos-rescue_5f5f5f5f5f5f5f5f.efi");
  for (const std::string& file :
       {RescueFile(hash), std::string(kRescueFile), TemporaryName(RescueStem(hash))}) {
    CAPTURE(file);
    CHECK(IsRescueFile(file));
    CHECK_FALSE(IsReleaseFile(file));
  }
  CHECK_FALSE(ParseEntryName(RescueFile(hash))->tries);
  for (const char* file :
       {"rescue.efi", "hostos-rescue", "hostos-rescue_.efi", "hostos-rescue.conf",
        "hostos-rescue_5f5f5f5f5f5f5f5g.efi", "hostos-rescue.efi.tmp", "hostos-rescue_5f5f5f5f.efi",
        "hostos-rescue_5f5f5f5f5f5f5f5f5f.efi", "hostos-rescue-5f5f5f5f5f5f5f5f.efi"})
    CHECK_FALSE(IsRescueFile(file));
}

TEST_CASE("a version must fit into a file name and a partition name") {
  for (const char* version : {"1", "1.1.0", "1.2~rc1", "1.2^p1-3", "12345678901234567890123456789"})
    CHECK(IsReleaseVersion(version));
  for (const char* version :
       {"", "1+2", "1_2", "1/2", "1 2", "\xc3\xa4", "123456789012345678901234567890"})
    CHECK_FALSE(IsReleaseVersion(version));
}

}  // namespace
}  // namespace hostos

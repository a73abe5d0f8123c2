#include "images/sbom/copyright.h"

#include <catch2/catch_test_macros.hpp>

#include "images/sbom/licences.h"

using namespace hostos;

static std::string ExpressionOf(const std::string& licences) {
  std::string text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n";
  for (size_t at = 0; at < licences.size();) {
    const size_t end = std::min(licences.find('\n', at), licences.size());
    text += "\nFiles: *\nLicense: " + licences.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return LicencesOf(text).expression;
}

TEST_CASE("Debian's names of licences become SPDX's") {
  const std::pair<const char*, const char*> names[] = {
      {"GPL-2", "GPL-2.0-only"},
      {"GPL-2+", "GPL-2.0-or-later"},
      {"GPLv3+", "GPL-3.0-or-later"},
      {"gpl-2.0-or-later", "GPL-2.0-or-later"},
      {"LGPL-2.1-only", "LGPL-2.1-only"},
      {"GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"},
      {"Expat", "MIT"},
      {"BSD-3-clause", "BSD-3-Clause"},
      {"GPL", ""},
      {"GPL-4", ""},
      {"LGPL-1+", ""},
      {"public-domain", ""},
      {"Artistic", ""},
  };
  for (const auto& [debian, spdx] : names) CHECK(SpdxLicence(debian) == spdx);
}

TEST_CASE("licence lines become one expression of SPDX") {
  CHECK(ExpressionOf("Expat") == "MIT");
  CHECK(ExpressionOf("Expat\nExpat\nISC") == "ISC AND MIT");
  CHECK(ExpressionOf("Expat and GPL-3+\nGPL-3+ and ISC") == "GPL-3.0-or-later AND ISC AND MIT");
  CHECK(ExpressionOf("GPL-1+ or Expat\nISC") == "(GPL-1.0-or-later OR MIT) AND ISC");
  CHECK(ExpressionOf("ISC and GPL-2+ or Expat") == "ISC AND GPL-2.0-or-later OR MIT");
  CHECK(ExpressionOf("GPL-2+ or ISC, and Expat") == "(GPL-2.0-or-later OR ISC) AND MIT");
  CHECK(ExpressionOf("ISC, or GPL-2+ and Expat, and Zlib") ==
        "(ISC OR (GPL-2.0-or-later AND MIT)) AND Zlib");
  CHECK(ExpressionOf("GPL-2 with Linux-syscall-note exception") ==
        "GPL-2.0-only WITH Linux-syscall-note");
}

TEST_CASE("a licence that SPDX does not know keeps Debian's name, and only that") {
  const Licences licences = LicencesOf(
      "Format: http://www.debian.org/doc/packaging-manuals/copyright-format/1.0\n\n"
      "Files: *\nLicense: public-domain\n No rights.\n\n"
      "Files: a\nLicense: GPL-3+ with Bison exception\n\nFiles: b\nLicense: what they, say\n");
  const std::string bison = "LicenseRef-Debian-" + SpdxName("GPL-3+ with Bison exception"),
                    odd = "LicenseRef-Debian-" + SpdxName("what they, say");
  CHECK(licences.expression == bison + " AND LicenseRef-Debian-public-domain AND " + odd);
  CHECK(licences.references ==
        std::map<std::string, std::string>{{"LicenseRef-Debian-public-domain", "public-domain"},
                                           {bison, "GPL-3+ with Bison exception"},
                                           {odd, "what they, say"}});
  CHECK(SpdxName("a+") != SpdxName("a~"));
}

TEST_CASE("a copyright file that leaves something open declares nothing") {
  const std::string format =
      "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n";
  for (const std::string& text :
       {std::string(), std::string("This is free software.\n"),
        std::string("Files: *\nLicense: ISC\n"),
        format + "\nFiles: *\nLicense: ISC\n\nFiles: a\nCopyright: me\n",
        format + "\nFiles: *\nLicense:\n Some text.\n", format + "\nFiles: *\nno field\n", format})
    CHECK(LicencesOf(text).expression == "");
}

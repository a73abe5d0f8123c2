#include "images/sbom/licences.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "updater/base/digest.h"
#include "updater/base/text.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

using Name = std::pair<std::string_view, std::string_view>;

// Names of the copyright format 1.0, and those of SPDX that Debian's copyright files use as they
// are. In lower case, because they compare so.
constexpr Name kNames[] = {
    {"0bsd", "0BSD"},
    {"afl-2.1", "AFL-2.1"},
    {"apache-2", "Apache-2.0"},
    {"apache-2.0", "Apache-2.0"},
    {"artistic-2.0", "Artistic-2.0"},
    {"bsd-2-clause", "BSD-2-Clause"},
    {"bsd-3-clause", "BSD-3-Clause"},
    {"bsd-4-clause", "BSD-4-Clause"},
    {"bsd-4-clause-uc", "BSD-4-Clause-UC"},
    {"bsl-1.0", "BSL-1.0"},
    {"bzip2-1.0.6", "bzip2-1.0.6"},
    {"cc-by-3.0", "CC-BY-3.0"},
    {"cc-by-4.0", "CC-BY-4.0"},
    {"cc-by-sa-3.0", "CC-BY-SA-3.0"},
    {"cc-by-sa-4.0", "CC-BY-SA-4.0"},
    {"cc0-1.0", "CC0-1.0"},
    {"cddl-1.0", "CDDL-1.0"},
    {"curl", "curl"},
    {"expat", "MIT"},
    {"fsfap", "FSFAP"},
    {"fsful", "FSFUL"},
    {"fsfullr", "FSFULLR"},
    {"fsfullrwd", "FSFULLRWD"},
    {"isc", "ISC"},
    {"latex2e", "Latex2e"},
    {"mit", "MIT"},
    {"mpl-1.1", "MPL-1.1"},
    {"mpl-2.0", "MPL-2.0"},
    {"ntp", "NTP"},
    {"openldap-2.8", "OLDAP-2.8"},
    {"oldap-2.8", "OLDAP-2.8"},
    {"sleepycat", "Sleepycat"},
    {"unicode-3.0", "Unicode-3.0"},
    {"unicode-dfs-2016", "Unicode-DFS-2016"},
    {"x11", "X11"},
    {"zlib", "Zlib"},
};

// The licences of GNU have versions, which may be "or any later one".
struct Family {
  std::string_view name, spdx, infix;  // infix: between version and "-only"
  std::array<std::string_view, 3> versions;
};
constexpr Family kFamilies[] = {
    {"agpl", "AGPL", "", {"3.0"}},
    {"gfdl-niv", "GFDL", "-no-invariants", {"1.1", "1.2", "1.3"}},
    {"gfdl", "GFDL", "", {"1.1", "1.2", "1.3"}},
    {"gpl", "GPL", "", {"1.0", "2.0", "3.0"}},
    {"lgpl", "LGPL", "", {"2.0", "2.1", "3.0"}},
};

bool TakeEnd(std::string_view& text, std::string_view end) {
  if (!text.ends_with(end)) return false;
  text.remove_suffix(end.size());
  return true;
}

// "GPL-2+", "GPLv2+", "LGPL-2.1-or-later".
std::string GnuLicence(std::string_view name) {
  for (const Family& family : kFamilies) {
    if (!name.starts_with(family.name)) continue;
    std::string_view version = name.substr(family.name.size());
    const bool later = TakeEnd(version, "+") || TakeEnd(version, "-or-later");
    if (!later) TakeEnd(version, "-only");
    if (version.starts_with('-')) version.remove_prefix(1);
    if (version.starts_with('v')) version.remove_prefix(1);
    const std::string full =
        version.contains('.') ? std::string(version) : std::string(version) + ".0";
    if (!version.empty() && std::ranges::contains(family.versions, full))
      return std::format("{}-{}{}{}", family.spdx, full, family.infix,
                         later ? "-or-later" : "-only");
  }
  return {};
}

}  // namespace

std::string SpdxLicence(std::string_view name) {
  const std::string lower = Lower(name);
  const auto known = std::ranges::find(kNames, lower, &Name::first);
  return known == std::end(kNames) ? GnuLicence(lower) : std::string(known->second);
}

std::string SpdxName(std::string_view text) {
  std::string name(text.substr(0, 100));
  std::ranges::replace_if(
      name, [](unsigned char c) { return c >= 0x80 || (!std::isalnum(c) && c != '.' && c != '-'); },
      '-');
  return name == text ? name : name + "-" + Sha256::Of(AsBytes(text)).Short();
}

}  // namespace hostos

#include "images/sbom/sbom.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/sbom/small_root.h"

using namespace hostos;
using Catch::Matchers::ContainsSubstring;
using Json = nlohmann::json;

// The member of an array whose `key` is `value`.
static Json Find(const Json& array, const std::string& key, const std::string& value) {
  for (const Json& member : array)
    if (member.value(key, "") == value) return member;
  FAIL("nothing has " << key << " " << value);
  return {};
}

static std::string Property(const Json& component, const std::string& name) {
  return Find(component["properties"], "name", name)["value"];
}

static bool Related(const Json& spdx, const std::string& from, const std::string& how,
                    const std::string& to) {
  return std::ranges::contains(
      spdx["relationships"],
      Json{{"spdxElementId", from}, {"relationshipType", how}, {"relatedSpdxElement", to}});
}

TEST_CASE("the same root and time give the same bytes, and the time is the release's") {
  const SmallRoot small;
  const Sbom sbom = small.Describe().value();
  const std::string cyclonedx = CycloneDx(sbom), spdx = Spdx(sbom);
  const SmallRoot again;
  std::filesystem::last_write_time(again / "usr/bin/hostctl", {});
  const Sbom other = again.Describe().value();
  CHECK(CycloneDx(other) == cyclonedx);
  CHECK(Spdx(other) == spdx);
  CHECK(Json::parse(cyclonedx)["metadata"]["timestamp"] == "2026-09-21T14:13:20Z");
  CHECK(Json::parse(spdx)["creationInfo"]["created"] == "2026-09-21T14:13:20Z");

  // Another content has another serial number.
  WriteText(again / "usr/bin/hostctl", "other", 0755);
  const Sbom changed = again.Describe().value();
  CHECK(Json::parse(CycloneDx(changed))["serialNumber"] != Json::parse(cyclonedx)["serialNumber"]);
  CHECK(Json::parse(Spdx(changed))["documentNamespace"] != Json::parse(spdx)["documentNamespace"]);
}

TEST_CASE("CycloneDX has each package as scanners look for it") {
  const SmallRoot small;
  const Json bom = Json::parse(CycloneDx(small.Describe().value()));
  CHECK(bom["metadata"]["component"]["type"] == "platform");
  CHECK(bom["metadata"]["component"]["version"] == "1.4.0");
  CHECK(bom["metadata"]["supplier"]["name"] == "Example");
  const Json& all = bom["components"];
  const Json debian = Find(all, "type", "operating-system");
  CHECK(debian["name"] == "debian");
  CHECK(debian["version"] == "13");
  CHECK_FALSE(debian.contains("cpe"));

  const Json libc = Find(all, "name", "libc6");
  CHECK(libc["purl"] ==
        "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13&upstream=glibc%402.41-12");
  CHECK(libc["licenses"][0]["expression"] ==
        "(GPL-2.0-or-later OR LicenseRef-Debian-public-domain) AND LGPL-2.1-or-later");
  CHECK(Property(libc, "aquasecurity:trivy:SrcName") == "glibc");
  CHECK(Property(libc, "aquasecurity:trivy:SrcVersion") == "2.41");
  CHECK(Property(libc, "aquasecurity:trivy:SrcRelease") == "12");
  const Json zone = Find(all, "name", "zoneinfo");
  CHECK(Property(zone, "aquasecurity:trivy:SrcEpoch") == "1");
  CHECK_FALSE(zone.contains("licenses"));
  CHECK_FALSE(Find(all, "name", "containerd").contains("licenses"));
  CHECK(Property(Find(all, "name", "linux-image-6.12.0-small"), "aquasecurity:trivy:SrcName") ==
        "linux");

  // Sources that packages stand for are not counted again, others are.
  CHECK(Find(all, "name", "glibc")["type"] == "data");
  CHECK(Find(all, "name", "linux")["type"] == "data");
  const Json go = Find(all, "name", "golang-1.24"), rust = Find(all, "name", "rust-cfg-if");
  CHECK(go["type"] == "library");
  CHECK(go["purl"] == "pkg:deb/debian/golang-1.24@1.24.4-1?arch=source&distro=debian-13");
  const Json uses = Find(bom["dependencies"], "ref", Find(all, "name", "containerd")["bom-ref"]);
  CHECK(std::ranges::contains(uses["dependsOn"], go["bom-ref"]));
  CHECK(std::ranges::contains(uses["dependsOn"], rust["bom-ref"]));
}

TEST_CASE("programs of no package have the packages whose libraries they load") {
  const SmallRoot small;
  const Sbom sbom = small.Describe().value();
  REQUIRE(sbom.programs.size() == 2);
  CHECK(sbom.programs[0].path == "/usr/bin/hostctl");
  REQUIRE(sbom.programs[0].packages.size() == 1);
  CHECK(sbom.packages[sbom.programs[0].packages[0]].name == "libc6");
  CHECK(sbom.programs[1].path == "/usr/lib/hostos/wrapper");
  CHECK(sbom.programs[1].packages.empty());

  const Json bom = Json::parse(CycloneDx(sbom));
  const Json program = Find(bom["components"], "name", "hostctl");
  CHECK(program["hashes"][0]["content"] == sbom.programs[0].digest.Hex());
  CHECK(Find(bom["dependencies"], "ref", program["bom-ref"])["dependsOn"] ==
        Json::array({Find(bom["components"], "name", "libc6")["bom-ref"]}));

  std::filesystem::remove(small / "usr/lib/sysimage/dpkg/info/libc6:amd64.list");
  WriteText(small / "usr/lib/sysimage/dpkg/info/libc6.list", "/.\n");
  const Sbom unowned = small.Describe().value();
  CHECK(std::ranges::contains(unowned.programs[0].unknown, "libc.so.6"));
  CHECK(unowned.programs[0].packages.empty());
}

TEST_CASE("the kernel and the rescue have what they consist of, and say when that is not all") {
  const SmallRoot small;
  const Json bom = Json::parse(CycloneDx(small.Describe().value()));
  const Json kernel = Find(bom["components"], "bom-ref", "boot:kernel");
  CHECK(kernel["version"] == "6.12.0-small");
  const Json image = Find(bom["components"], "name", "linux-image-6.12.0-small")["bom-ref"];
  CHECK(Find(bom["dependencies"], "ref", "boot:kernel")["dependsOn"] == Json::array({image}));
  CHECK(Find(bom["dependencies"], "ref", "boot:rescue")["dependsOn"] ==
        Json::array({image, Find(bom["components"], "name", "hostctl")["bom-ref"]}));
  CHECK(Property(Find(bom["components"], "bom-ref", "boot:rescue"),
                 "hostos:program-of-no-package") == "/usr/lib/only-there");
  CHECK(bom["compositions"] == Json::array({{{"aggregate", "incomplete"},
                                             {"dependencies", Json::array({"boot:rescue"})}}}));
}

TEST_CASE("SPDX has the same packages, with the words that scanners look for") {
  const SmallRoot small;
  const Sbom sbom = small.Describe().value();
  const Json spdx = Json::parse(Spdx(sbom)), bom = Json::parse(CycloneDx(sbom));
  CHECK(Find(spdx["packages"], "SPDXID", "SPDXRef-OperatingSystem-debian")["versionInfo"] == "13");
  const Json libc = Find(spdx["packages"], "name", "libc6");
  CHECK(libc["sourceInfo"] == "built package from: glibc 2.41-12");
  CHECK(libc["supplier"] == "Organization: GNU Libc Maintainers (debian-glibc@lists.debian.org)");
  CHECK(Find(spdx["packages"], "name", "zoneinfo")["licenseDeclared"] == "NOASSERTION");
  CHECK(Find(spdx["packages"], "name", "zoneinfo")["supplier"] == "NOASSERTION");
  CHECK(Find(spdx["hasExtractedLicensingInfos"], "licenseId",
             "LicenseRef-Debian-public-domain")["name"] == "public-domain");
  const auto id = [&](const std::string& name) {
    return Find(spdx["packages"], "name", name)["SPDXID"].get<std::string>();
  };
  CHECK(Related(spdx, "SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-HostOS"));
  CHECK(Related(spdx, id("libc6"), "GENERATED_FROM", id("glibc")));
  CHECK(Related(spdx, id("containerd"), "CONTAINS", id("golang-1.24")));
  CHECK(Related(spdx, id("linux-image-6.12.0-small"), "GENERATED_FROM", id("linux")));
  CHECK(Related(spdx, id("hostctl"), "DYNAMIC_LINK", id("libc6")));

  const auto urls = [](const Json& components, auto url) {
    std::vector<std::string> all;
    for (const Json& component : components)
      if (const std::string one = url(component); !one.empty()) all.push_back(one);
    std::ranges::sort(all);
    return all;
  };
  CHECK(urls(spdx["packages"], [](const Json& package) {
          return package.contains("externalRefs")
                     ? package["externalRefs"][0]["referenceLocator"].get<std::string>()
                     : "";
        }) == urls(bom["components"], [](const Json& component) {
          return component.value("purl", "");
        }));
}

TEST_CASE("both documents are valid") {
  const SmallRoot small;
  WriteText(small / "usr/share/doc/zoneinfo/copyright",
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
            "Files: *\nLicense: caf\xe9\n");  // no UTF-8
  const Sbom sbom = small.Describe().value();
  WriteText(small / "hostos.cdx.json", CycloneDx(sbom));
  WriteText(small / "hostos.spdx.json", Spdx(sbom));
  CHECK(std::system(("python3 " HOSTOS_SOURCE_DIR "/tests/sbom/check.py " +
                     (small / "hostos.cdx.json") + " " + (small / "hostos.spdx.json"))
                        .c_str()) == 0);
}

TEST_CASE("a root that does not say what is in it is refused") {
  const auto refusal = [](const auto& damage) {
    const SmallRoot small;
    damage(small);
    const Result<Sbom> sbom = small.Describe();
    return sbom ? "none" : sbom.error().message;
  };
  CHECK_THAT(refusal([](const SmallRoot& small) {
               WriteText(small / "usr/lib/os-release", "ID=debian\nNAME=HostOS\nIMAGE_VERSION=1\n");
             }),
             ContainsSubstring("os-release: expected VERSION_ID, found none"));
  CHECK_THAT(refusal([](const SmallRoot& small) {
               std::filesystem::remove(small / "usr/lib/sysimage/dpkg/status");
             }),
             ContainsSubstring("dpkg/status: expected the packages of the root"));
  CHECK_THAT(refusal([](const SmallRoot& small) {
               WriteText(small / "usr/lib/sysimage/dpkg/status", "Package: a\nnonsense\n");
             }),
             ContainsSubstring("dpkg/status: line 2: expected a field"));
  CHECK_THAT(refusal([](const SmallRoot& small) {
               std::filesystem::resize_file(small / "usr/share/doc/libc6/copyright",
                                            kMaxCopyright + 1);
             }),
             ContainsSubstring("copyright: expected at most"));
  CHECK_THAT(refusal([](const SmallRoot& small) {
               std::filesystem::resize_file(small / "usr/bin/hostctl", 100);
             }),
             ContainsSubstring("/usr/bin/hostctl: expected a program (ELF), found a damaged one"));
}

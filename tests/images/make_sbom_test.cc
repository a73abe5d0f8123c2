#include "images/make_sbom.h"

#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/images/small_release.h"
#include "updater/base/sbom_path.h"
#include "updater/release/changes.h"

using namespace hostos;
using Catch::Matchers::ContainsSubstring;
using Json = nlohmann::json;
namespace fs = std::filesystem;

static Result<MadeSbom> Make(const SmallRelease& small) {
  return MakeSbom({.tree = small / "root",
                   .initrd = small / "initrd",
                   .changelogs = "",
                   .timestamp = kReleaseTime});
}

static Json CycloneDxOf(const SmallRelease& small) {
  return Json::parse(ReadText(small / "root" + kCycloneDxPath));
}

TEST_CASE("an SBOM has the packages that its release's commit has") {
  const SmallRelease small;
  REQUIRE(Make(small));
  const Release release = small.Commit().value();
  std::vector<std::pair<std::string, std::string>> found;
  const Json bom = CycloneDxOf(small), spdx = Json::parse(ReadText(small / "root" + kSpdxPath));
  for (const Json& component : bom["components"]) {
    const std::string url = component.value("purl", "");
    if (!url.empty() && !url.contains("arch=source"))
      found.emplace_back(component["name"], component["version"]);
  }
  CHECK(found == release.packages);

  found.clear();
  for (const Json& package : spdx["packages"])
    if (package["primaryPackagePurpose"] == "LIBRARY")
      found.emplace_back(package["name"], package["versionInfo"]);
  CHECK(found == release.packages);
}

TEST_CASE("an SBOM made again has the same bytes, and is in the release") {
  const SmallRelease small;
  small.BringRescue();
  REQUIRE(Make(small));
  const std::string cyclonedx = ReadText(small / "root" + kCycloneDxPath),
                    spdx = ReadText(small / "root" + kSpdxPath);
  struct stat status;
  REQUIRE(::stat((small / "root" + kSpdxPath).c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0644);
  fs::last_write_time(small / "root/usr/lib/os-release", {});
  REQUIRE(Make(small));
  CHECK(ReadText(small / "root" + kCycloneDxPath) == cyclonedx);
  CHECK(ReadText(small / "root" + kSpdxPath) == spdx);
}

TEST_CASE("without another time an SBOM has that of the tree") {
  const SmallRelease small;
  const timespec times[2] = {{kReleaseTime, 0}, {kReleaseTime, 0}};
  REQUIRE(::utimensat(AT_FDCWD, (small / "root/usr/lib/os-release").c_str(), times, 0) == 0);
  REQUIRE(MakeSbom({.tree = small / "root", .initrd = "", .changelogs = "", .timestamp = {}}));
  CHECK(CycloneDxOf(small)["metadata"]["timestamp"] == "2026-09-21T14:13:20Z");
}

TEST_CASE("an SBOM says which files of the root are in initrd and rescue, and how much is not") {
  const SmallRelease small;
  const std::string large = ReadText(small / "root/usr/share/large");
  WriteText(small / "initrd", std::string(64, 'i') + large);
  small.BringRescue();
  REQUIRE(Make(small));
  const Json bom = CycloneDxOf(small);
  const auto image = [&](const std::string& name) -> Json {
    for (const Json& component : bom["components"])
      if (component["bom-ref"] == "boot:" + name) return component;
    return {};
  };
  CHECK(image("initrd")["properties"][0]["value"] == "64");
  const Json rescue = image("rescue");
  CHECK(rescue["properties"][0]["value"] == "/usr/lib/hostos/rescue.efi");
  // Its kernel and all of its initrd but the first bytes are files of the root.
  const uint64_t other = std::stoull(rescue["properties"][1]["value"].get<std::string>());
  CHECK(other > 64);
  CHECK(other < large.size());
  const Release release = small.Commit().value();
  CHECK(rescue["hashes"][0]["content"] == release.rescue->digest.Hex());
}

TEST_CASE("programs that only the initrd has are named") {
  const SmallRelease small;
  // An archive of one file, as cpio(1) writes it.
  const std::string name = "usr/lib/libonly.so.1", content = "\x7f\x45LF" + std::string(1000, 'x');
  std::string initrd = std::format("070701{:08X}{:08X}", 1, 0100755);
  for (const size_t field : {size_t{0}, size_t{0}, size_t{1}, size_t{0}, content.size(), size_t{0},
                             size_t{0}, size_t{0}, size_t{0}, name.size() + 1, size_t{0}})
    initrd += std::format("{:08X}", field);
  initrd += name + std::string(4 - (initrd.size() + name.size()) % 4, '\0') + content;
  WriteText(small / "initrd", initrd);
  REQUIRE(Make(small));
  const Json bom = CycloneDxOf(small);
  for (const Json& component : bom["components"])
    if (component["bom-ref"] == "boot:initrd")
      CHECK(component["properties"][1] ==
            Json{{"name", "hostos:program-of-no-package"}, {"value", "/" + name}});
  CHECK(bom["compositions"][0]["dependencies"] == Json::array({"boot:initrd"}));

  // One that the root has, too, is of the root.
  WriteText(small / "root/usr/lib/libonly.so.1", content);
  REQUIRE(Make(small));
  CHECK_FALSE(ReadText(small / "root" + kCycloneDxPath).contains("program-of-no-package"));
}

TEST_CASE("an SBOM that cannot be made leaves the one that is there") {
  const SmallRelease small;
  REQUIRE(Make(small));
  const std::string before = ReadText(small / "root" + kCycloneDxPath);
  WriteText(small / "root/usr/lib/sysimage/dpkg/status",
            "Package: alpha\nStatus: install ok installed\nVersion: 1 0\n");
  const auto made = Make(small);
  REQUIRE_FALSE(made);
  CHECK_THAT(made.error().message, ContainsSubstring("expected a version, found '1 0'"));
  CHECK(ReadText(small / "root" + kCycloneDxPath) == before);
  for (const fs::directory_entry& entry : fs::directory_iterator(small / ""))
    CHECK_FALSE(entry.path().filename().string().starts_with("root."));
}

TEST_CASE("a release with the SBOM of another tree is not committed") {
  const SmallRelease small;
  REQUIRE(Make(small));
  const std::string dpkg = small / "root/usr/lib/sysimage/dpkg";
  WriteText(dpkg + "/status", ReadText(dpkg + "/status") +
                                  "\nPackage: later\nStatus: install ok installed\n"
                                  "Version: 1\nArchitecture: all\n");
  WriteText(dpkg + "/info/later.list", "/.\n");
  const auto refused = small.Commit();
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().message,
             ContainsSubstring("1.0.0 with 3 packages, found what was in another, '1.0.0' with 2"));
  WriteText(small / "root" + kCycloneDxPath, "[1");
  CHECK_FALSE(small.Commit());
  REQUIRE(Make(small));
  CHECK(small.Commit());
}

TEST_CASE("what the packages of a release fixed is made of their changelogs, and is of this tree") {
  const SmallRelease small;
  small.AddChangelogs();
  const SbomOptions options = {.tree = small / "root",
                               .initrd = "",
                               .changelogs = small / "changelogs",
                               .timestamp = kReleaseTime};
  CHECK(MakeSbom(options)->cves == 2);
  const std::string path = small / "root" + kChangesPath, text = ReadText(path);
  const ReleaseChanges changes = ParseChanges(text).value();
  CHECK(changes.version == "1.0.0");
  CHECK(changes.since == "2023-09-21");
  REQUIRE(changes.sources.size() == 2);
  CHECK(changes.sources[0].fixes[0].cves ==
        std::vector<std::string>{"CVE-2026-1234", "CVE-2026-12345"});
  CHECK(changes.sources[1].reaches.empty());
  REQUIRE(MakeSbom(options));
  CHECK(ReadText(path) == text);

  // One that cannot be made leaves what is there, as a whole.
  WriteText(small / "changelogs/alpha", "alpha 1:1.0\n");
  const auto made = MakeSbom(options);
  REQUIRE_FALSE(made);
  CHECK_THAT(made.error().message,
             ContainsSubstring("/changelogs/alpha: line 1: expected PACKAGE"));
  CHECK(ReadText(path) == text);

  // Made without them, it has none: what is there is of other packages.
  small.SetVersionOfAlpha("1:1.1");
  REQUIRE(Make(small));
  CHECK_FALSE(std::filesystem::exists(path));
  WriteText(path, text);
  const auto refused = small.Commit();
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().message, ContainsSubstring("expected what is in this tree, 1.0.0"));
}

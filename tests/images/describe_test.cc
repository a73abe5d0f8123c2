// What is said of releases: their differences, what is open, and the page for people.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "images/diff_text.h"
#include "images/make_sbom.h"
#include "images/notes.h"
#include "images/program.h"
#include "tests/held.h"
#include "tests/images/small_release.h"

using namespace hostos;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

constexpr const char* kTracker = R"({
 "alpha": {
  "CVE-2026-1": {"releases": {"trixie": {"status": "open", "urgency": "low", "nodsa": "<b>Minor</b>"}}},
  "CVE-2026-2": {"releases": {"trixie": {"status": "resolved", "fixed_version": "1:1.1"}}},
  "CVE-2026-3": {"releases": {"trixie": {"status": "resolved", "fixed_version": "1:1.0"}}},
  "CVE-2026-4": {"releases": {"trixie": {"status": "resolved", "fixed_version": "0"}}},
  "CVE-2026-5": {"releases": {"trixie": {"status": "undetermined"}}}},
 "golang-dbus": {"CVE-2026-6": {"releases": {"trixie": {"status": "open", "urgency": "high"}}}}
})";

// 1.0.0 and 1.1.0, which differ in everything that is compared.
struct TwoReleases {
  SmallRelease small;
  std::string repo = small / "repo", root = small / "root";

  TwoReleases() {
    const std::string units = root + "/usr/lib/systemd/system/",
                      modules = root + "/usr/lib/modules/";
    WriteText(units + "old.service", "[Service]\n");
    WriteText(units + "kept.service", "[Service]\n");
    fs::create_directories(root + "/etc/systemd/system/a.target.wants");
    fs::create_symlink("/usr/lib/systemd/system/old.service",
                       root + "/etc/systemd/system/a.target.wants/old.service");
    WriteText(modules + "6.12.0-small/config",
              "# Automatic\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=m\n");
    WriteText(modules + "6.12.0-small/same.ko", "module");
    Make("");

    small.SetVersion("1.1.0");
    small.SetVersionOfAlpha("1:1.1");
    WriteText(small / "changelogs/alpha",
              "alpha (1:1.1) stable-security; urgency=high\n\n  * CVE-2026-2222\n\n"
              " -- S <s@example.org>  Sun, 20 Sep 2026 18:00:50 +0200\n\n" +
                  ReadText(small / "changelogs/alpha"));
    fs::rename(modules + "6.12.0-small", modules + "6.12.1-small");
    WriteText(modules + "6.12.1-small/config", "CONFIG_A=m\nCONFIG_B=y\nCONFIG_C=m\n");
    fs::remove(units + "old.service");
    fs::remove(root + "/etc/systemd/system/a.target.wants/old.service");
    WriteText(units + "new.service", "[Service]\n");
    WriteText(units + "kept.service.d/10.conf", "[Service]\n");
    fs::create_symlink("/usr/lib/systemd/system/new.service",
                       root + "/etc/systemd/system/a.target.wants/new.service");
    fs::remove(root + "/usr/share/twin");
    WriteText(root + "/usr/share/large", std::string(5 << 20, 'x'));
    fs::permissions(root + "/etc/empty", fs::perms::owner_read);
    Make("quiet");
  }

  void Make(const std::string& argument) {
    if (!fs::exists(small / "changelogs")) small.AddChangelogs();
    Held(MakeSbom({.tree = root,
                   .initrd = "",
                   .changelogs = small / "changelogs",
                   .timestamp = kReleaseTime}));
    CommitOptions options = small.Options();
    options.cmdline_append = argument;
    Held(small.Commit(options));
  }
  Repo Open() const { return Held(Repo::Open(repo)); }
  ReleaseDiff Diff(const std::string& from, const std::string& to) const {
    const Repo opened = Open();
    return Held(CompareReleases(opened, Held(FindRelease(opened, "x86-64", from)),
                                Held(FindRelease(opened, "x86-64", to))));
  }
  Result<std::string> Run(std::vector<std::string> words) const {
    words.insert(words.begin(), HOSTIMAGE);
    words.insert(words.end(), {"--repo", repo});
    return RunProgram(words);
  }
};

}  // namespace

TEST_CASE("releases differ in packages, CVEs, files, units and the kernel") {
  const TwoReleases releases;
  const ReleaseDiff diff = releases.Diff("1.0.0", "hostos/x86-64/releases/1.1.0");
  REQUIRE(diff.packages.size() == 1);
  CHECK(diff.packages[0].name == "alpha");
  CHECK(diff.packages[0].to == "1:1.1");
  REQUIRE(diff.cves);
  REQUIRE(diff.cves->fixed.size() == 1);
  CHECK(diff.cves->fixed[0].cves == std::vector<std::string>{"CVE-2026-2222"});
  CHECK(diff.kernel_before == "6.12.0-small");
  CHECK(diff.kernel_after == "6.12.1-small");
  REQUIRE(diff.kernel.size() == 2);
  CHECK(diff.kernel[0].name == "CONFIG_A");
  CHECK(diff.kernel[0].to == "m");
  CHECK(diff.kernel[1].from == "n");
  REQUIRE(diff.arguments.size() == 1);
  CHECK(diff.arguments[0].name == "quiet");

  std::string units;
  for (const UnitChange& unit : diff.units) units += unit.unit + " " + unit.change + "\n";
  CHECK(units ==
        "kept.service changed\nnew.service enabled\nnew.service added\n"
        "old.service disabled\nold.service removed\n");

  std::map<std::string, const FileChange*> files;
  for (const FileChange& file : diff.files) files[file.path] = &file;
  CHECK(diff.files[0].path == "/usr/share/large");
  CHECK(diff.files[0].size_before == 3 << 20);
  CHECK(diff.files[0].size_after == 5 << 20);
  REQUIRE(files.contains("/usr/share/twin"));
  CHECK_FALSE(files["/usr/share/twin"]->after);
  CHECK(files.contains("/etc/empty"));
  CHECK(files.contains("/boot/hostos.efi"));
  CHECK(files.contains("/usr/lib/modules/6.12.1-small/config"));
  // Under another name of the kernel, but the same.
  CHECK_FALSE(files.contains("/usr/lib/modules/6.12.1-small/same.ko"));
  CHECK_FALSE(files.contains("/usr/lib/modules/6.12.0-small/same.ko"));
}

TEST_CASE("the same release differs in nothing, and an older one brings CVEs back") {
  const TwoReleases releases;
  const ReleaseDiff same = releases.Diff("1.1.0", "1.1.0");
  CHECK(same.files.empty());
  CHECK(same.packages.empty());
  CHECK(same.kernel.empty());
  const ReleaseDiff back = releases.Diff("1.1.0", "1.0.0");
  REQUIRE(back.cves->back.size() == 1);
  CHECK(back.cves->back[0].to == "1:1.0");
  CHECK(DiffText(back, false).contains("CVEs back, of packages that become older: 1\n"));
}

TEST_CASE("hostimage says the differences to people and to programs") {
  const TwoReleases releases;
  const std::string text = Held(releases.Run({"diff", "1.0.0", "1.1.0"}));
  for (const char* line : {"1.0.0 -> 1.1.0, image ", "\nkernel 6.12.0-small -> 6.12.1-small\n",
                           "\n  alpha 1:1.0 -> 1:1.1\n",
                           "\n  alpha 1:1.0 -> 1:1.1: CVE-2026-2222\n", "\n  CONFIG_B n -> y\n",
                           "changed  /usr/share/large (+2.1 MB)\n", "removed  /usr/share/twin\n"})
    CHECK_THAT(text, ContainsSubstring(line));
  const auto json = nlohmann::json::parse(Held(releases.Run({"diff", "1.0.0", "1.1.0", "--json"})));
  CHECK(json["cves"]["fixed"][0]["cves"] == nlohmann::json{"CVE-2026-2222"});
  CHECK(json["files"][0]["to_bytes"] == 5 << 20);
  CHECK(json["kernel"]["options"].size() == 2);
  CHECK_FALSE(releases.Run({"diff", "1.0.0"}));
  const auto missing = releases.Run({"diff", "1.0.0", "9"});
  REQUIRE_FALSE(missing);
  CHECK_THAT(missing.error().message, ContainsSubstring("hostos/x86-64/releases/9"));
}

TEST_CASE("a release without changelogs differs all the same, and says what is not known") {
  const SmallRelease small;
  REQUIRE(small.Commit());
  const Repo repo = Held(Repo::Open(small / "repo"));
  const Commit commit = Held(FindRelease(repo, "x86-64", "1.0.0"));
  const ReleaseDiff diff = Held(CompareReleases(repo, commit, commit));
  REQUIRE_FALSE(diff.cves);
  CHECK_THAT(DiffText(diff, false),
             ContainsSubstring("CVEs: not known: 1.0.0 does not say what its packages fixed"));
}

TEST_CASE("issues of the tracker that a release has become OpenVEX, the same bytes each time") {
  TwoReleases releases;
  const std::string dpkg = releases.root + "/usr/lib/sysimage/dpkg/status";
  WriteText(dpkg, ReadText(dpkg) +
                      "\nPackage: runner\nStatus: install ok installed\nArchitecture: amd64\n"
                      "Version: 1\nSource: running (2)\nBuilt-Using: golang-dbus (= 5.1)\n");
  WriteText(releases.root + "/usr/lib/sysimage/dpkg/info/runner.list", "/.\n");
  releases.small.SetVersion("1.2.0");
  releases.Make("");
  const std::string tracker = releases.small / "tracker.json", output = releases.small / "vex.json";
  WriteText(tracker, kTracker);
  const auto vex = [&](const std::string& version) {
    Held(releases.Run({"vex", version, "--tracker", tracker, "--suite", "trixie", "--timestamp",
                       std::to_string(kReleaseTime), "--output", output}));
    return ReadText(output);
  };
  const std::string text = vex("1.2.0");
  CHECK(vex("1.2.0") == text);
  const auto json = nlohmann::json::parse(text);
  CHECK(json["@context"] == "https://openvex.dev/ns/v0.2.0");
  CHECK(json["timestamp"] == "2026-09-21T14:13:20Z");
  REQUIRE(json["statements"].size() == 3);
  const auto &open = json["statements"][0], &asked = json["statements"][1],
             &part = json["statements"][2];
  CHECK(open["vulnerability"]["name"] == "CVE-2026-1");
  CHECK(open["status"] == "affected");
  CHECK(open["action_statement"] ==
        "wait for a fixed version in Debian; urgency: low; no advisory: <b>Minor</b>");
  CHECK(open["products"][0]["@id"] == "pkg:deb/debian/alpha@1%3A1.1?arch=amd64&distro=debian-13");
  CHECK(asked["vulnerability"]["name"] == "CVE-2026-5");
  CHECK(asked["status"] == "under_investigation");
  CHECK(part["products"][0]["@id"] == "pkg:deb/debian/runner@1?arch=amd64&distro=debian-13");
  CHECK(part["products"][0]["subcomponents"][0]["@id"] ==
        "pkg:deb/debian/golang-dbus@5.1?arch=source&distro=debian-13");

  // The older release lacks one fix more.
  const auto older = nlohmann::json::parse(vex("1.0.0"));
  REQUIRE(older["statements"].size() == 3);
  CHECK(older["statements"][1]["vulnerability"]["name"] == "CVE-2026-2");
  CHECK(older["statements"][1]["action_statement"] == "update to a release with 1:1.1");
}

TEST_CASE("a tracker that cannot be read leaves the document that is there") {
  const TwoReleases releases;
  const std::string tracker = releases.small / "tracker.json", output = releases.small / "out";
  WriteText(output, "before");
  for (const auto& [text, suite, expected] :
       {std::tuple("{\"alpha\": {", "trixie", "unexpected end of input"),
        std::tuple(kTracker, "forky", "expected issues of forky, found those of trixie"),
        std::tuple(kTracker, "", "no VERSION_CODENAME: give a --suite")}) {
    WriteText(tracker, text);
    for (const char* verb : {"vex", "notes"}) {
      std::vector<std::string> words = {verb, "1.1.0", "--tracker", tracker, "--output", output};
      if (*suite) words.insert(words.end(), {"--suite", suite});
      const auto refused = releases.Run(words);
      REQUIRE_FALSE(refused);
      CHECK_THAT(refused.error().message, ContainsSubstring(expected));
      CHECK(ReadText(output) == "before");
    }
  }
}

TEST_CASE("the notes of a release are one page, in which the words of others are only words") {
  const TwoReleases releases;
  const std::string tracker = releases.small / "tracker.json",
                    output = releases.small / "notes.html";
  WriteText(tracker, kTracker);
  REQUIRE(releases.Run({"notes", "1.1.0", "--since", "1.0.0", "--tracker", tracker, "--suite",
                        "trixie", "--output", output}));
  const std::string page = ReadText(output);
  for (const char* part :
       {"<title>HostOS 1.1.0: release notes</title>", "1 CVE fixed",
        "1 package changed since 1.0.0",
        "https://security-tracker.debian.org/tracker/CVE-2026-2222", "1:1.0 → 1:1.1",
        "&lt;b&gt;Minor&lt;/b&gt;", "under investigation", "<code>CONFIG_B</code>", "new.service",
        "hostimage verify hostos/x86-64/releases/1.1.0"})
    CHECK_THAT(page, ContainsSubstring(part));
  for (const char* none : {"<b>Minor", "<script", "src=", "@import", "url("})
    CHECK_FALSE(page.contains(none));
  // Links lead to the tracker only; nothing is loaded.
  for (size_t at = page.find("http"); at != page.npos; at = page.find("http", at + 1))
    CHECK((page.substr(at).starts_with("https://security-tracker.debian.org/tracker/CVE-") ||
           page.substr(at).starts_with("http-equiv")));

  REQUIRE(releases.Run({"notes", "1.0.0", "--output", output}));
  CHECK_FALSE(ReadText(output).contains("since"));
}

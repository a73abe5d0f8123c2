#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "images/make_sbom.h"
#include "images/program.h"
#include "images/provenance.h"
#include "tests/images/small_release.h"
#include "updater/base/sbom_path.h"
#include "updater/base/unique_fd.h"
#include "updater/release/release_target.h"

using namespace hostos;
namespace fs = std::filesystem;

namespace {

constexpr const char* kNoInputs = R"({"id": "debian", "version_id": "13", "source": "",
  "parameters": {}, "debs": [], "builders": [], "install": []})";

// A release that is committed, and a repository with a root, in which nothing is published.
struct Publishing {
  SmallRelease small;
  std::string repo = small / "repo";

  explicit Publishing(bool sbom, bool spdx_is_empty = false) {
    small.AddChangelogs();
    if (sbom)
      REQUIRE(MakeSbom({.tree = small / "root",
                        .initrd = small / "initrd",
                        .changelogs = small / "changelogs",
                        .timestamp = kReleaseTime}));
    if (spdx_is_empty) WriteText(small / "root" + kSpdxPath, "");
    CommitOptions options = small.Options();
    if (sbom) {
      options.inputs = small / "inputs.json";
      WriteText(options.inputs, kNoInputs);
    }
    REQUIRE(small.Commit(options));
    const std::string trusted = small / "keys/ci.pub";
    REQUIRE(Run({"root", "--root-key", trusted, "--targets-key", trusted, "--snapshot-key", trusted,
                 "--timestamp-key", trusted}));
  }

  Result<std::string> Run(std::vector<std::string> words) const {
    words.insert(words.begin(), HOSTIMAGE);
    words.insert(words.end(), {"--repo", repo, "--key", small / "ci.pem"});
    return RunProgram(words);
  }
  Result<std::string> Mirror(const std::string& to) const {
    return RunProgram({HOSTIMAGE, "mirror", "--from", repo, "--repo", to, "--channel", "stable",
                       "--root", repo + "/metadata/1.root.json", "--keys", small / "keys"});
  }
  // The signed target of the version in a channel.
  ReleaseTarget Target(const std::string& channel) const {
    const auto files = FilesEndingIn(repo + "/targets/hostos/x86-64/" + channel, ".1.0.0.json");
    REQUIRE(files.size() == 1);
    return ParseReleaseTarget(ReadText(files[0])).value();
  }
  // What the release has of a format: in its root, or made with it.
  std::string Of(const std::string& format) const {
    if (format == kProvenanceFormat)
      return ReadText(FilesEndingIn(repo + "/provenance", ".intoto.json").front());
    return ReadText(small / "root/usr/share/sbom/hostos." + format + ".json");
  }
};

}  // namespace

TEST_CASE("the SBOMs of a release are beside it, with their digests in its signed target") {
  const Publishing publishing(true);
  REQUIRE(publishing.Run({"publish", "1.0.0"}));
  REQUIRE(publishing.Run(
      {"promote", "1.0.0", "--channel", "edge", "--commit-key", publishing.small / "ci.pem"}));
  for (const char* channel : {"stable", "edge"}) {
    const ReleaseTarget target = publishing.Target(channel);
    REQUIRE(target.sboms.size() == 4);
    CHECK(target.sboms[0].format == "cdx");
    CHECK(target.sboms[1].format == "spdx");
    CHECK(target.sboms[2].format == "changes");
    CHECK(target.sboms[3].format == "intoto");
    for (const SbomFile& sbom : target.sboms) {
      const std::string text = ReadText(publishing.repo + "/" + SbomPath(target, sbom.format));
      CHECK(text == publishing.Of(sbom.format));
      CHECK(sbom.digest == Sha256::Of(AsBytes(text)));
      CHECK(sbom.size == text.size());
    }
  }
}

TEST_CASE("a release without an SBOM is published without one") {
  const Publishing publishing(false);
  REQUIRE(publishing.Run({"publish", "1.0.0"}));
  CHECK(publishing.Target("stable").sboms.empty());
  CHECK_FALSE(fs::exists(publishing.repo + "/sbom"));
}

TEST_CASE("a release that nodes would refuse is not published") {
  const Publishing publishing(true, /*spdx_is_empty=*/true);
  const Result<std::string> published = publishing.Run({"publish", "1.0.0"});
  REQUIRE_FALSE(published);
  CHECK(published.error().message.contains("nodes would refuse it: release.sboms[1].size"));
  CHECK_FALSE(fs::exists(publishing.repo + "/targets"));
}

TEST_CASE("a mirror has the SBOMs of its releases, as they were signed or not at all") {
  const Publishing publishing(true);
  REQUIRE(publishing.Run({"publish", "1.0.0"}));
  const std::string name = SbomPath(publishing.Target("stable"), "cdx"),
                    mirror = publishing.small / "mirror";
  REQUIRE(publishing.Mirror(mirror));
  CHECK(ReadText(mirror + "/" + name) == publishing.Of("cdx"));
  ChangeByte(mirror + "/" + name, 100);
  REQUIRE(publishing.Mirror(mirror));
  CHECK(ReadText(mirror + "/" + name) == publishing.Of("cdx"));

  ChangeByte(publishing.repo + "/" + name, 100);
  const std::string other = publishing.small / "other";
  REQUIRE(publishing.Mirror(other));
  CHECK_FALSE(fs::exists(other + "/" + name));
  CHECK(fs::exists(other + "/" + SbomPath(publishing.Target("stable"), "spdx")));
}

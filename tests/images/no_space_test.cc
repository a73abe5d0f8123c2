// Verbs of hostimage on a disk that is full: they end with 9, whatever ran out, and leave nothing
// that is in the way of the next run.
#include <sys/mount.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "images/publish/secret_key.h"
#include "tests/announce.h"
#include "tests/images/small_release.h"
#include "tests/source/release_fixture.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// A file system of its own with so many KiB.
class SmallDisk {
 public:
  explicit SmallDisk(int kilobytes) {
    REQUIRE(::mount("tmpfs", directory_.path().c_str(), "tmpfs", 0,
                    std::format("size={}k", kilobytes).c_str()) == 0);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() { ::umount2(directory_.path().c_str(), MNT_DETACH); }

  std::string operator/(const std::string& name) const { return directory_ / name; }

 private:
  TempDir directory_;
};

CommandResult Hostimage(const std::string& words) {
  return Shell(HOSTIMAGE " " + words);
}

void CheckFull(const CommandResult& said) {
  CAPTURE(said.output);
  CHECK(said.status == 9);
}

TEST_CASE("a verb that makes something ends with 9 on a full disk") {
  const SmallRelease small;
  REQUIRE(small.Commit());
  REQUIRE(Announce(small / "repo", "1.0.0", *SecretKey::Load(small / "ci.pem")));
  const std::string repo = " --repo " + (small / "repo"), keys = " --keys " + (small / "keys");
  const std::string tree = " --tree " + (small / "root") + " --initrd " + (small / "initrd");
  const std::string commit =
      "commit --version 1.0.0 --channel stable --timestamp 1790000000 --key " + (small / "ci.pem") +
      tree;
  // Where a commit ends: its repository, the image, the kernel image, the objects.
  for (const int kilobytes : {16, 256, 1024, 2900}) {
    CAPTURE(kilobytes);
    const SmallDisk disk(kilobytes);
    CheckFull(Hostimage(commit + " --repo " + (disk / "repo")));
    CHECK((!fs::exists(disk / "repo/refs") || FilesEndingIn(disk / "repo/refs", "").empty()));
  }
  {
    const SmallDisk disk(1024);
    CheckFull(
        Hostimage(commit + " --repo " + (small / "other") + " --image-out " + (disk / "image")));
    CheckFull(Hostimage("disk hostos/x86-64/stable" + repo + keys + " --output " + (disk / "raw")));
    for (const char* format : {"wsl", "qcow2"})
      CheckFull(Hostimage("images 1.0.0" + repo + keys + " --key " + (small / "ci.pem") +
                          " --format " + format + " --output " + (disk / "images")));
    CHECK_FALSE(fs::exists(disk / "images"));
    CheckFull(Hostimage("bundle 1.0.0 --channel stable" + repo + " --output " + (disk / "bundle")));
    CheckFull(Hostimage("mirror --channel stable --from " + (small / "repo") + " --root " +
                        (small / "repo/metadata/1.root.json") + keys + " --repo " +
                        (disk / "mirror")));
  }
  {
    const SmallDisk disk(64);
    CheckFull(Hostimage("rescue" + tree + " --output " + (disk / "rescue")));
    fs::create_directory(disk / "repo");
    fs::copy(small / "repo/metadata", disk / "repo/metadata", fs::copy_options::recursive);
    (void)Shell("cat /dev/zero >" + (disk / "fill"));
    CheckFull(
        Hostimage("renew timestamp --repo " + (disk / "repo") + " --key " + (small / "ci.pem")));
    // Neither half of a key is left: it can be made when there is room.
    const std::string keygen =
        "keygen --secret " + (disk / "key.pem") + " --public " + (disk / "key.pub");
    CheckFull(Hostimage(keygen));
    CHECK_FALSE(fs::exists(disk / "key.pem"));
    fs::remove(disk / "fill");
    CHECK(Hostimage(keygen).status == 0);
  }
}

}  // namespace
}  // namespace hostos

// The images of the real releases, judged by independent programs (erofs-utils, the kernel,
// cryptsetup and ostree), and sealed once more.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "images/publish/scan_directory.h"
#include "tests/held.h"
#include "tests/mounted.h"
#include "tests/vm/release_set.h"
#include "updater/release/commit.h"
#include "updater/seal/seal.h"
#include "updater/source/scan.h"

namespace hostos {
namespace {

// Type, mode, owner, link target and xattrs of every path, and the content of every file.
constexpr const char* kCompare = R"sh(
  set -eu
  list() {
    cd "$1"
    rm -f "$2"
    find . \( -path ./ostree -o -path ./boot/hostos.efi \) -prune -o \
      -printf '%P %y %m %U %G %l\n' | LC_ALL=C sort >"$2"
    find . \( -path ./ostree -o -path ./boot/hostos.efi \) -prune -o -print0 | LC_ALL=C sort -z |
      xargs -0 getfattr --no-dereference --dump --encoding=hex --match=- >>"$2"
  }
  (list "$1" "$3/image.list")
  (list "$2" "$3/commit.list")
  [ "$(wc -l <"$3/image.list")" -gt 1000 ]
  diff "$3/image.list" "$3/commit.list"
  diff -r --no-dereference --exclude=ostree --exclude=hostos.efi "$1" "$2"
)sh";

// Seals into the files "image" and "verity" of a directory.
void SealAgain(const Scan& scan, const std::string& directory) {
  const UniqueFd image = Held(Open(directory + "/image", O_RDWR | O_CREAT | O_TRUNC, 0600));
  const UniqueFd verity = Held(Open(directory + "/verity", O_RDWR | O_CREAT | O_TRUNC, 0600));
  Held(Seal(scan.tree, *scan.content, image.get(), verity.get(), {}));
}

TEST_CASE("the images of real releases are what their commits say, to the judges of each format") {
  const std::string version = GENERATE("1.0.0", "1.1.0");
  CAPTURE(version);
  const ReleaseSet releases = Held(ReleaseSet::Open());
  const MadeRelease release = Held(releases.Get(version));
  const std::string image = releases.directory() + "/" + version;
  TempDir directory;
  const std::string log = directory / "log", mount = directory / "mount";

  Held(Process::Run({"fsck.erofs", image + ".erofs"}, log));
  Held(Process::Run(
      {"veritysetup", "verify", image + ".erofs", image + ".verity", release.root_hash.Hex()},
      log));
  const Mounted mounted = Held(Mounted::At(image + ".erofs", mount, log));
  Held(Process::Run({"ostree", "fsck", "--quiet", "--repo=" + mount + "/ostree/repo"}, log));
  Held(Process::Run({"ostree", "checkout", "--repo=" + releases.directory() + "/repo",
                     release.commit.Hex(), directory / "commit"},
                    log));
  Held(Process::Run(
      {"sh", "-c", kCompare, "compare", mount, directory / "commit", directory.path()}, log));

  // On another day than hostimage, from the commit and from a directory.
  const Repo repo = Held(Repo::Open(releases.directory() + "/repo"));
  const Commit commit =
      Held(ParseCommit(Held(repo.ReadMetadata(ObjectType::kCommit, release.commit))));
  for (const bool from_commit : {true, false}) {
    CAPTURE(from_commit);
    Scan scan = Held(from_commit ? ScanCommit(repo, commit) : ScanDirectory(directory / "commit"));
    scan.tree.starts = commit.layout;  // a directory does not say it
    SealAgain(scan, directory.path());
    Held(Process::Run({"cmp", image + ".erofs", directory / "image"}, log));
    Held(Process::Run({"cmp", image + ".verity", directory / "verity"}, log));
  }
}

}  // namespace
}  // namespace hostos

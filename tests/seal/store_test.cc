// The object store inside the image, as libostree sees it.
#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <format>
#include <fstream>

#include "images/publish/scan_directory.h"
#include "tests/seal/judges.h"
#include "tests/seal/test_tree.h"
#include "updater/source/scan.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

// A small root on disk, a commit of it, and the tree that the sealer gets.
struct Release {
  TempDir directory;
  std::string root = directory / "root";
  std::string archive = directory / "archive";
  Scan scan;

  Release() : scan(Make()) {}

  Scan Make() {
    Run(std::format(
        "set -e; mkdir -p {0}/usr/bin {0}/usr/share/same {0}/boot {0}/etc; cd {0}; "
        "seq 10000 >usr/bin/tool; chmod 4755 usr/bin/tool; cp -p usr/bin/tool usr/bin/same; "
        "ln -s tool usr/bin/link; ln -s tool usr/bin/link2; echo a >usr/share/same/file; "
        "mkdir -p usr/share/other; echo a >usr/share/other/file; : >etc/empty; "
        "setfattr -n user.note -v value etc/empty; chown 7:8 etc/empty; "
        "seq 100 >boot/hostos.efi",
        root));
    Run(
        std::format("ostree --repo={0} init --mode=archive && ostree --repo={0} commit -b release "
                    "--timestamp=2026-01-01T00:00:00Z --no-bindings {1}",
                    archive, root));
    return ScanDirectory(root).value();
  }
};

// Hands out other bytes of the same length for one object.
class Forger : public ContentReader {
 public:
  Forger(ContentReader& honest, uint64_t size) : honest_(honest), size_(size) {}
  Result<UniqueFd> Open(const FileObject& file) override {
    if (file.size != size_) return honest_.Open(file);
    TestTree other;
    other.AddFile(0, "forged", std::string(file.size, '!'));
    return other.Open(other.tree.files[0]);
  }

 private:
  ContentReader& honest_;
  uint64_t size_;
};

// A staging repository as a node has it: what the running image holds comes from there.
CommandResult PullAndFsck(const Release& release, const std::string& image_root) {
  std::string staging = release.directory / "staging";
  std::filesystem::remove_all(staging);
  Run(
      std::format("ostree --repo={0} init --mode=bare && ostree --repo={0} config set core.parent "
                  "{2}/ostree/repo && ostree --repo={0} pull-local {1} release",
                  staging, release.archive, image_root));
  return Shell(std::format("ostree --repo={} fsck", staging));
}

size_t FilesIn(const std::string& path) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
    files += !entry.is_directory();
  return files;
}

TEST_CASE("ostree opens the embedded store and finds it sound") {
  if (std::string reason = NoMountReason(); !reason.empty()) SKIP(reason);
  Release release;
  SealedFiles files = SealInto(release.directory, "a", release.scan.tree, *release.scan.content);
  Mount mount(files.image);
  CommandResult fsck = Shell(std::format("ostree --repo={}/ostree/repo fsck", mount.path()));
  INFO(fsck.output);
  CHECK(fsck.status == 0);
  CommandResult refs = Shell(std::format("ostree --repo={}/ostree/repo refs", mount.path()));
  CHECK(refs.status == 0);
  CHECK(refs.output.empty());
}

TEST_CASE("a pull with the store as its parent stores only what depends on the seal") {
  if (std::string reason = NoMountReason(); !reason.empty()) SKIP(reason);
  Release release;
  SealedFiles files = SealInto(release.directory, "a", release.scan.tree, *release.scan.content);
  Mount mount(files.image);
  CommandResult fsck = PullAndFsck(release, mount.path());
  INFO(fsck.output);
  CHECK(fsck.status == 0);
  // The commit, its root dirtree, the dirtree of /boot and /boot/hostos.efi.
  CHECK(FilesIn(release.directory / "staging/objects") == 4);
}

TEST_CASE("ostree notices a store whose file is not what its name says") {
  if (std::string reason = NoMountReason(); !reason.empty()) SKIP(reason);
  Release release;
  Forger forger(*release.scan.content, 2);
  Mount mount(SealInto(release.directory, "a", release.scan.tree, forger).image);
  CommandResult fsck = PullAndFsck(release, mount.path());
  CHECK(fsck.status != 0);
  CHECK_THAT(fsck.output, ContainsSubstring("checksum expected"));
}

TEST_CASE(
    "paths with equal content, owner and mode are one inode, with a link for each and the "
    "store's") {
  if (std::string reason = NoMountReason(); !reason.empty()) SKIP(reason);
  Release release;
  SealedFiles files = SealInto(release.directory, "a", release.scan.tree, *release.scan.content);
  Mount mount(files.image);
  CheckSameTree(release.scan.tree, *release.scan.content, mount.path());
  auto status = [&](const std::string& path) {
    struct stat found{};
    REQUIRE(::lstat((mount.path() + path).c_str(), &found) == 0);
    return found;
  };
  CHECK(status("/usr/bin/tool").st_ino == status("/usr/bin/same").st_ino);
  CHECK(status("/usr/bin/tool").st_nlink == 3);
  CHECK(status("/usr/bin/link").st_ino == status("/usr/bin/link2").st_ino);
  CHECK(status("/usr/share/same/file").st_nlink == 3);
  CHECK(status("/usr/share/same").st_nlink == 2);
  CHECK(FilesIn(mount.path() + "/boot") == 0);
}

TEST_CASE("every object of the store is a file of the tree or a metadata object, by its own hash") {
  if (std::string reason = NoMountReason(); !reason.empty()) SKIP(reason);
  Release release;
  SealedFiles files = SealInto(release.directory, "a", release.scan.tree, *release.scan.content);
  Mount mount(files.image);
  std::string store = mount.path() + "/ostree/repo/objects/";
  for (const MetadataObject& object : release.scan.tree.metadata) {
    std::string hex = object.checksum.Hex();
    std::string path = store + hex.substr(0, 2) + "/" + hex.substr(2) +
                       (object.is_dirtree ? ".dirtree" : ".dirmeta");
    CHECK(Sha256::Of(AsBytes(ReadFile(path).value())) == object.checksum);
  }
  CHECK(FilesIn(store) == release.scan.tree.metadata.size() + release.scan.tree.files.size());
}

}  // namespace
}  // namespace hostos

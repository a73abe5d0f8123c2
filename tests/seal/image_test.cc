// The image itself: read back by the kernel and by erofs-utils.
#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <format>

#include "tests/seal/judges.h"
#include "tests/seal/test_tree.h"

namespace hostos {
namespace {

std::string Bytes(const std::string& path) {
  return ReadFile(path, 1 << 30).value();
}

// Without a path --extract reads everything and writes nothing.
bool PassesFsck(const std::string& image) {
  CommandResult fsck = Shell("fsck.erofs --extract --xattrs " + image);
  INFO(fsck.output);
  return fsck.status == 0;
}

TEST_CASE("fsck.erofs finds nothing wrong with an image that has one of everything") {
  TempDir directory;
  TestTree t = VariedTree();
  SealedFiles files = SealInto(directory, "a", t.tree, t);
  CHECK(PassesFsck(files.image));
  UniqueFd image = Open(files.image, O_RDWR).value();  // the root inode, behind the superblock
  REQUIRE(PwriteFull(image.get(), AsBytes("\xff"), 1152));
  CHECK_FALSE(PassesFsck(files.image));
}

TEST_CASE("the kernel shows every path of the tree as it was sealed") {
  if (std::string reason = NoMountReason(); !reason.empty()) SKIP(reason);
  TempDir directory;
  TestTree t = VariedTree();
  Mount mount(SealInto(directory, "a", t.tree, t).image);
  CheckSameTree(t.tree, t, mount.path());
}

TEST_CASE("the kernel shows a directory with 10,000 entries, and finds each by its name") {
  if (std::string reason = NoMountReason(); !reason.empty()) SKIP(reason);
  TempDir directory;
  TestTree t;
  uint32_t large = t.AddDirectory(0, "large");
  uint32_t file = t.AddFile(large, "0", "the same");
  for (int i = 1; i < 10000; i++)
    t.AddPath(large, std::format("{}-{}", i, std::string(i % 200, 'n')), file);
  SealedFiles files = SealInto(directory, "a", t.tree, t);
  CHECK(PassesFsck(files.image));
  Mount mount(files.image);
  CheckSameTree(t.tree, t, mount.path());
}

TEST_CASE("an inode with more links than a compact one can count is stored extended") {
  if (std::string reason = NoMountReason(); !reason.empty()) SKIP(reason);
  TempDir directory;
  TestTree t;
  uint32_t file = t.AddFile(0, "first", "linked");
  uint32_t many = t.AddDirectory(0, "many");
  auto& entries = t.tree.directories[many].entries;
  for (int i = 0; i < 70000; i++) entries.push_back({std::format("{:05}", i), false, file});
  Mount mount(SealInto(directory, "a", t.tree, t).image);
  struct stat status{};
  REQUIRE(::stat((mount.path() + "/many/69999").c_str(), &status) == 0);
  CHECK(status.st_nlink == 70002);
  CHECK(status.st_size == 6);
}

TEST_CASE("sealing again, and from a tree in another order, gives the same bytes") {
  TempDir directory;
  TestTree t = VariedTree();
  SealedFiles first = SealInto(directory, "a", t.tree, t);
  SealedFiles again = SealInto(directory, "b", t.tree, t);
  SealedFiles reordered = SealInto(directory, "c", Reordered(t.tree), t);
  CHECK((Bytes(first.image) == Bytes(again.image)));
  CHECK((Bytes(first.verity) == Bytes(again.verity)));
  CHECK((Bytes(first.image) == Bytes(reordered.image)));
  CHECK((Bytes(first.verity) == Bytes(reordered.verity)));
  CHECK(first.sealed.root_hash == reordered.sealed.root_hash);
}

TEST_CASE("seal format 1 is frozen: this tree has had this root hash from the beginning") {
  TempDir directory;
  TestTree t = VariedTree();
  CHECK(SealInto(directory, "a", t.tree, t).sealed.root_hash.Hex() ==
        "94fe07a5b55a20ce5364120201cad2636bba8ce274f312e9b72743b5b136eebc");
}

TEST_CASE("what /boot holds does not change the image") {
  TempDir directory;
  TestTree without;
  uint32_t boot = without.AddDirectory(0, "boot");
  without.AddFile(0, "file", "content");
  TestTree other = without;
  other.AddFile(boot, "hostos.efi", "a kernel");
  CHECK((Bytes(SealInto(directory, "a", without.tree, without).image) ==
         Bytes(SealInto(directory, "b", other.tree, other).image)));
}

TEST_CASE("the sizes are known before any content is read") {
  TempDir directory;
  TestTree t = VariedTree();
  SealSize size = Measure(t.tree).value();
  CHECK(t.opened == 0);
  SealedFiles files = SealInto(directory, "a", t.tree, t);
  CHECK(size == files.sealed.size);
  CHECK(size.image == std::filesystem::file_size(files.image));
  CHECK(size.verity == std::filesystem::file_size(files.verity));
}

TEST_CASE("every file is opened once, and those of /boot never") {
  TempDir directory;
  TestTree t;
  uint32_t boot = t.AddDirectory(0, "boot");
  t.AddFile(boot, "hostos.efi", "a kernel");
  uint32_t large = t.AddFile(0, "large", std::string(100000, 'l'));
  t.AddPath(0, "large2", large);
  t.AddFile(0, "small", "s");
  SealInto(directory, "a", t.tree, t);
  CHECK(t.opened == 2);
}

TEST_CASE("progress grows to the size of the image") {
  TempDir directory;
  TestTree t = VariedTree();
  UniqueFd image = Open(directory / "i", O_RDWR | O_CREAT, 0600).value();
  UniqueFd verity = Open(directory / "v", O_RDWR | O_CREAT, 0600).value();
  uint64_t last = 0, expected = Measure(t.tree).value().image;
  REQUIRE(Seal(t.tree, t, image.get(), verity.get(), [&](uint64_t done, uint64_t total) {
    CHECK(done > last);
    CHECK(total == expected);
    last = done;
  }));
  CHECK(last == expected);
}

TEST_CASE("packing takes little more room than mkfs.erofs") {
  if (::geteuid() != 0) SKIP("unpacking the image with its owners takes root");
  TempDir directory;
  TestTree t;
  for (int d = 0; d < 20; d++) {
    uint32_t parent = t.AddDirectory(0, std::format("d{}", d));
    for (int f = 0; f < 100; f++)
      t.AddFile(parent, std::format("f{}", f), std::string((d * 100 + f) * 7919 % 40000, 'x'));
  }
  SealedFiles files = SealInto(directory, "a", t.tree, t);
  REQUIRE(Shell(std::format("fsck.erofs --extract={} {}", directory / "out", files.image)).status ==
          0);
  REQUIRE(Shell(std::format("rm -rf {0}/ostree && mkfs.erofs {1} {0}", directory / "out",
                            directory / "m"))
              .status == 0);
  double ratio = static_cast<double>(files.sealed.size.image) /
                 static_cast<double>(std::filesystem::file_size(directory / "m"));
  INFO(ratio);
  CHECK(ratio < 1.12);  // large files keep their tails, of half a block each
}

}  // namespace
}  // namespace hostos

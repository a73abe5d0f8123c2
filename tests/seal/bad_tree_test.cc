// Trees that cannot be sealed: the message says which path, what was expected and what was found.
#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/seal/judges.h"
#include "tests/seal/test_tree.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

std::string WhyNot(const Tree& tree) {
  Result<SealSize> size = Measure(tree);
  return size ? "sealed" : size.error().message;
}

Tree TreeWithName(const std::string& name) {
  TestTree t;
  uint32_t usr = t.AddDirectory(0, "usr");
  uint32_t file = t.AddFile(usr, "good", "");
  t.tree.directories[usr].entries.push_back({name, false, file});
  return t.tree;
}

TEST_CASE("names that no directory can hold are refused") {
  std::string name = GENERATE(std::string(""), std::string("."), std::string(".."),
                              std::string("z/z"), std::string("z\0z", 3), std::string(256, 'z'));
  CHECK_THAT(WhyNot(TreeWithName(name)),
             ContainsSubstring("/usr: expected a name of 1 to 255 bytes"));
}

TEST_CASE("names out of order or twice are refused") {
  CHECK_THAT(WhyNot(TreeWithName("go")),
             ContainsSubstring(
                 "/usr: expected names in order and each once, found \"go\" after \"good\""));
  CHECK_THAT(WhyNot(TreeWithName("good")), ContainsSubstring("found \"good\" after \"good\""));
}

TEST_CASE("special files are refused") {
  TestTree t;
  t.AddFile(0, "null", "");
  t.tree.files[0].metadata.mode = S_IFCHR | 0666;
  CHECK_THAT(WhyNot(t.tree), ContainsSubstring("/: null: expected a regular file"));
  CHECK_THAT(WhyNot(t.tree), ContainsSubstring("found mode 20666"));
}

TEST_CASE("links that no kernel follows are refused") {
  std::string target = GENERATE(std::string(""), std::string(4096, 't'), std::string("a\0b", 3));
  TestTree t;
  t.AddLink(0, "link", target);
  CHECK_THAT(WhyNot(t.tree), ContainsSubstring("link: expected a link target of 1 to 4095 bytes"));
}

TEST_CASE("xattrs that erofs cannot hold are refused by name") {
  auto why = [](std::vector<Xattr> xattrs) {
    TestTree t;
    t.AddFile(0, "file", "", {.xattrs = std::move(xattrs)});
    return WhyNot(t.tree);
  };
  CHECK(why({{"user.a", "b"}}) == "sealed");
  CHECK_THAT(why({{"btrfs.compression", "zstd"}}),
             ContainsSubstring("/file: xattr \"btrfs.compression\""));
  CHECK_THAT(why({{"user.", "x"}}), ContainsSubstring("/file: xattr \"user.\""));
  CHECK_THAT(why({{"system.posix_acl_access2", "x"}}),
             ContainsSubstring("system.posix_acl_access2"));
  CHECK_THAT(why({{"user.a", std::string(65536, 'x')}}), ContainsSubstring("found 1 and 65536"));
  CHECK_THAT(why({{"user." + std::string(256, 'n'), ""}}), ContainsSubstring("found 256 and 0"));
  CHECK_THAT(why({{"user.b", ""}, {"user.a", ""}}), ContainsSubstring("not sorted"));
  CHECK_THAT(why({{"user.a", ""}, {"user.a", ""}}), ContainsSubstring("not sorted"));
  std::vector<Xattr> many;
  for (char c = 'a'; c < 'f'; c++)
    many.push_back({std::string("user.") + c, std::string(60000, c)});
  CHECK_THAT(why(many), ContainsSubstring("expected at most 262148 bytes of xattrs"));
}

TEST_CASE("a tree with something in /ostree already is refused") {
  TestTree empty, full, link;
  empty.AddDirectory(0, "ostree", {.mode = 0700, .xattrs = {}});
  CHECK(WhyNot(empty.tree) == "sealed");
  full.AddFile(full.AddDirectory(0, "ostree"), "deploy", "");
  CHECK_THAT(WhyNot(full.tree),
             ContainsSubstring("ostree: expected nothing or an empty directory"));
  link.AddLink(0, "ostree", "sysroot/ostree");
  CHECK_THAT(WhyNot(link.tree),
             ContainsSubstring("ostree: expected nothing or an empty directory"));
}

TEST_CASE("a /boot that is no directory is refused") {
  TestTree t;
  t.AddLink(0, "boot", "efi");
  CHECK_THAT(WhyNot(t.tree), ContainsSubstring("boot: expected a directory"));
}

TEST_CASE("a directory in two places, and an index to nowhere, are refused") {
  TestTree t;
  uint32_t a = t.AddDirectory(0, "a");
  Tree tree = t.tree;
  tree.directories[a].entries.push_back({"loop", true, a});
  CHECK_THAT(WhyNot(tree), ContainsSubstring("/a: loop: expected every directory once"));
  tree = t.tree;
  tree.directories[a].entries.push_back({"root", true, 0});
  CHECK_THAT(WhyNot(tree), ContainsSubstring("/a: root: expected every directory once"));
  tree = t.tree;
  tree.directories[a].entries.push_back({"x", false, 7});
  CHECK_THAT(WhyNot(tree), ContainsSubstring("/a: x: expected an index below 0, found 7"));
  CHECK_THAT(WhyNot({}), ContainsSubstring("no root"));
}

TEST_CASE("an object that is there twice is refused") {
  TestTree t;
  t.AddMetadataObject("x", true);
  t.AddMetadataObject("x", true);
  CHECK_THAT(WhyNot(t.tree), ContainsSubstring(".dirtree: expected every object once"));
}

TEST_CASE("content that is not as long as the tree says fails with the object's name") {
  size_t size = GENERATE(100, 100000);
  size_t found = GENERATE_COPY(size - 1, size + 1);
  TempDir directory;
  TestTree t;
  uint32_t file = t.AddFile(t.AddDirectory(0, "usr"), "file", std::string(size, 'x'));
  t.SetContent(file, std::string(found, 'y'));
  UniqueFd image = Open(directory / "i", O_RDWR | O_CREAT, 0600).value();
  UniqueFd verity = Open(directory / "v", O_RDWR | O_CREAT, 0600).value();
  Result<Sealed> sealed = Seal(t.tree, t, image.get(), verity.get(), {});
  REQUIRE(!sealed);
  CHECK(sealed.error().message == std::format("/usr/file (object {}): expected {} bytes, found {}",
                                              t.tree.files[file].checksum.Hex(), size, found));
}

TEST_CASE("content that is missing fails with the object's name") {
  TempDir directory;
  TestTree t;
  t.AddFile(0, "file", "x");
  t.tree.files[0].checksum = {};
  UniqueFd image = Open(directory / "i", O_RDWR | O_CREAT, 0600).value();
  UniqueFd verity = Open(directory / "v", O_RDWR | O_CREAT, 0600).value();
  Result<Sealed> sealed = Seal(t.tree, t, image.get(), verity.get(), {});
  REQUIRE(!sealed);
  CHECK(sealed.error().message == std::format("/file (object {}): no such object", Digest{}.Hex()));
}

}  // namespace
}  // namespace hostos

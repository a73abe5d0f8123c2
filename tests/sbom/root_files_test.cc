#include "images/sbom/root_files.h"

#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>

#include "tests/temp_dir.h"
#include "tests/text_file.h"

using namespace hostos;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("a link in a root leads within it, as on a machine that runs it") {
  const TempDir outside;
  const std::string tree = outside / "tree";
  WriteText(outside / "secret", "outside");
  WriteText(tree + "/usr/share/doc/a/copyright", "inside");
  const std::string doc = tree + "/usr/share/doc/";
  std::filesystem::create_directory_symlink("a", doc + "relative");
  std::filesystem::create_directory_symlink("/usr/share/doc/a", doc + "absolute");
  std::filesystem::create_symlink("../../../../../../../secret", doc + "up");
  std::filesystem::create_symlink(outside / "secret", doc + "out");
  const auto root = RootFiles::Open(tree);
  REQUIRE(root);
  for (const char* name : {"a", "relative", "absolute"})
    CHECK(root->Read(std::string("/usr/share/doc/") + name + "/copyright", 100).value() ==
          "inside");
  for (const char* name : {"up", "out", "missing"})
    CHECK(root->Read(std::string("/usr/share/doc/") + name, 100).value() == std::nullopt);
}

TEST_CASE("a file of a root has a bound, and is a file") {
  const TempDir tree;
  WriteText(tree / "large", "12345");
  REQUIRE(::mkfifo((tree / "pipe").c_str(), 0600) == 0);
  const auto root = RootFiles::Open(tree.path());
  REQUIRE(root);
  CHECK(root->Read("/large", 5).value() == "12345");
  const auto large = root->Read("/large", 4);
  REQUIRE_FALSE(large);
  CHECK_THAT(large.error().message, ContainsSubstring("expected at most 4 bytes, found 5"));
  const auto pipe = root->Read("/pipe", 4);
  REQUIRE_FALSE(pipe);
  CHECK_THAT(pipe.error().message, ContainsSubstring("expected a regular file"));
}

TEST_CASE("each file has the package that brought it, also under a merged /usr") {
  const TempDir tree;
  const std::string info = tree / "usr/lib/sysimage/dpkg/info/";
  WriteText(info + "a.list", "/.\n/bin\n/bin/tool\n");
  WriteText(info + "b:amd64.list", "/usr/lib/b\n");
  const auto root = RootFiles::Open(tree.path());
  REQUIRE(root);
  const DebianPackage a = {.name = "a", .architecture = "amd64"},
                      b = {.name = "b", .architecture = "amd64"},
                      c = {.name = "c", .architecture = "amd64"};
  const auto owners = FileOwners::Load(*root, {a, b});
  REQUIRE(owners);
  CHECK(owners->Of("/usr/bin/tool") == 0);
  CHECK(owners->Of("/usr/lib/b") == 1);
  CHECK(owners->Of("/usr/lib/c") == std::nullopt);
  const auto without = FileOwners::Load(*root, {a, b, c});
  REQUIRE_FALSE(without);
  CHECK_THAT(without.error().message, ContainsSubstring("info/c.list: expected the files"));
}

TEST_CASE("executable files are found below /usr, without links and dpkg's scripts") {
  const TempDir tree;
  WriteText(tree / "usr/bin/tool", "", 0755);
  WriteText(tree / "usr/bin/data", "", 0644);
  WriteText(tree / "usr/lib/hostos/fetch", "", 0711);
  WriteText(tree / "usr/lib/sysimage/dpkg/info/a.postinst", "", 0755);
  std::filesystem::create_symlink("tool", tree / "usr/bin/link");
  const auto root = RootFiles::Open(tree.path());
  REQUIRE(root);
  CHECK(root->Executables().value() ==
        std::vector<std::string>{"/usr/bin/tool", "/usr/lib/hostos/fetch"});
}

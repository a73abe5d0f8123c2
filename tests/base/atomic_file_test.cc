#include "updater/base/atomic_file.h"

#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>

#include "tests/temp_dir.h"
#include "updater/base/unique_fd.h"

using namespace hostos;

TEST_CASE("an atomic write replaces the whole file and leaves no temporary") {
  TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "f", "a long first content"));
  REQUIRE(WriteFileAtomically(dir / "f", "second", 0600));
  CHECK(ReadFile(dir / "f").value() == "second");
  struct stat info;
  REQUIRE(::stat((dir / "f").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("an atomic write that fails keeps the old file and names the path") {
  TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "f", "old"));
  REQUIRE(::mkdir((dir / "f.tmp").c_str(), 0755) == 0);  // the temporary cannot be opened
  Result<> result = WriteFileAtomically(dir / "f", "new");
  REQUIRE_FALSE(result);
  CHECK(result.error().message.contains("f.tmp"));
  CHECK(ReadFile(dir / "f").value() == "old");
}

TEST_CASE("removing a file that is not there is a success") {
  TempDir dir;
  CHECK(RemoveFileDurably(dir / "none"));
}

TEST_CASE("directories are made with their parents, and again without harm") {
  TempDir dir;
  REQUIRE(MakeDirectories(dir / "a/b/c"));
  REQUIRE(MakeDirectories(dir / "a/b/c"));
  CHECK(std::filesystem::is_directory(dir / "a/b/c"));
}

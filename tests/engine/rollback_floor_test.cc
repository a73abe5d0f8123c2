#include "updater/engine/rollback_floor.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>

#include "tests/temp_dir.h"
#include "tests/text_file.h"

namespace hostos {
namespace {

TEST_CASE("a floor that no release can reach is replaced") {
  const TempDir directory;
  FileFloor floor(directory / "floor");
  REQUIRE(floor.Raise(UINT64_MAX));
  CHECK(floor.Read() == UINT64_MAX);
  REQUIRE(floor.Replace(7));
  CHECK(floor.Read() == 7u);
}

TEST_CASE("the floor rises and never falls, and outlives the loss of one of its copies") {
  const TempDir directory;
  FileFloor floor(directory / "floor");
  CHECK(floor.Read() == 0u);
  REQUIRE(floor.Raise(7));
  CHECK(floor.Read() == 7u);
  REQUIRE(floor.Raise(3));
  CHECK(floor.Read() == 7u);

  const std::string copy = directory / GENERATE("floor.0", "floor.1");
  const std::string whole = ReadText(copy);
  SECTION("gone") {
    std::filesystem::remove(copy);
  }
  SECTION("a digit changed") {
    WriteText(copy, "9" + whole.substr(1));
  }
  SECTION("cut short") {
    WriteText(copy, whole.substr(0, whole.size() - 1));
  }
  SECTION("empty") {
    WriteText(copy, "");
  }
  SECTION("not raised, because the power went") {
    REQUIRE(floor.Raise(8));
    WriteText(copy, whole);
    CHECK(floor.Read() == 8u);
    return;
  }
  CHECK(floor.Read() == 7u);
  REQUIRE(floor.Raise(0));
  CHECK(ReadText(copy) == whole);
}

TEST_CASE("a floor that the disk does not give is not 0: it is an error, until it is known again") {
  const TempDir directory;
  FileFloor floor(directory / "floor");
  REQUIRE(floor.Raise(7));
  const auto ruin = [&](const char* copy) {  // opening it works, reading it fails
    std::filesystem::remove(directory / copy);
    std::filesystem::create_directories(directory / copy + "/inside");
  };
  ruin("floor.1");
  CHECK(floor.Read() == 7u);  // the other copy is valid
  std::filesystem::remove(directory / "floor.0");
  REQUIRE_FALSE(floor.Read());
  CHECK(floor.Read().error().message.contains(directory / "floor.1"));
  CHECK_FALSE(floor.Raise(0));
  CHECK_FALSE(floor.Read());
  SECTION("the record knows it") {
    REQUIRE(floor.Raise(6));
    CHECK(ReadText(directory / "floor.0") == ReadText(directory / "floor.1"));
    CHECK(floor.Read() == 6u);
  }
  SECTION("a rescue has nobody to ask") {
    const std::vector<std::string> dropped = floor.DropUnreadable();
    REQUIRE(dropped.size() == 1);
    CHECK(dropped[0].contains(directory / "floor.1"));
    CHECK(floor.Read() == 0u);
    CHECK(floor.DropUnreadable().empty());
  }
}

TEST_CASE("what a later version says behind the floor does not hide it") {
  const TempDir directory;
  FileFloor floor(directory / "floor");
  REQUIRE(floor.Raise(7));
  const std::string words = ReadText(directory / "floor.0").substr(0, 66);
  const std::string later = words + GENERATE(" counter=3\n", "\ncounter 3\nmore\n");
  for (const char* copy : {"floor.0", "floor.1"}) WriteText(directory / copy, later);
  CHECK(floor.Read() == 7u);
  REQUIRE(floor.Raise(7));
  CHECK(ReadText(directory / "floor.0") == later);  // nothing to write
  REQUIRE(floor.Raise(9));
  CHECK(floor.Read() == 9u);
}

}  // namespace
}  // namespace hostos

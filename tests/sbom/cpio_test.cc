#include "images/sbom/cpio.h"

#include <catch2/catch_test_macros.hpp>
#include <format>

using namespace hostos;

static std::string Entry(const std::string& name, const std::string& content,
                         unsigned mode = 0100644) {
  std::string entry = "070701";
  const size_t fields[13] = {1, mode, 0, 0, 1, 0, content.size(), 0, 0, 0, 0, name.size() + 1, 0};
  for (const size_t field : fields) entry += std::format("{:08X}", field);
  entry += name + std::string(1, '\0');
  entry.resize((entry.size() + 3) / 4 * 4);
  entry += content;
  entry.resize((entry.size() + 3) / 4 * 4);
  return entry;
}

TEST_CASE("the files of an initrd are found in all of its archives, and read as they are") {
  const std::string archive = Entry("usr", "", 040755) + Entry("usr/lib/a", "content of a") +
                              Entry("bin", "usr/bin", 0120777) + Entry("TRAILER!!!", "", 0) +
                              std::string(512, '\0') + Entry("etc/b", "b") +
                              Entry("etc/empty", "") + Entry("TRAILER!!!", "", 0) + "no archive";
  const auto files = CpioFiles(archive);
  REQUIRE(files.size() == 2);
  CHECK(files[0].name == "usr/lib/a");
  CHECK(archive.substr(files[0].offset, files[0].size) == "content of a");
  CHECK(files[1].name == "etc/b");
  CHECK(archive.substr(files[1].offset, files[1].size) == "b");
}

TEST_CASE("what is no archive, or is cut off, ends the list") {
  CHECK(CpioFiles("").empty());
  CHECK(CpioFiles("\x28\xb5\x2f\xfd compressed").empty());
  const std::string two = Entry("a", "content") + Entry("b", "content");
  for (size_t size = 0; size + 1 < two.size(); size++)  // the last byte only fills up
    CHECK(CpioFiles(two.substr(0, size)).size() <= 1);
  std::string damaged = two;
  damaged[6 + 6 * 8] = 'x';  // the size of the first
  CHECK(CpioFiles(damaged).empty());
}

TEST_CASE("what was appended to an initrd last is its last archive") {
  const std::string one = Entry("a", "a") + Entry("TRAILER!!!", "", 0) + std::string(512, '\0'),
                    two = Entry("b", "b") + Entry("TRAILER!!!", "", 0) + std::string(8, '\0');
  CHECK(LastArchive(one + two) == one.size());
  CHECK(LastArchive(one + one + two) == 2 * one.size());
  CHECK(LastArchive(one) == 0);
  CHECK(LastArchive("\x28\xb5\x2f\xfd compressed") == 0);
}

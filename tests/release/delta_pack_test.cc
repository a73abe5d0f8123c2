#include "updater/release/delta_pack.h"

#include <catch2/catch_test_macros.hpp>

#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr size_t kObjects = 10;
constexpr uint64_t kFrames = 300;

PackIndex Good() {
  return {
      .bases = {Sha256::Of(AsBytes("a")), Sha256::Of(AsBytes("b"))},
      .objects = {{.place = 3,
                   .frames = {{.unpacked = 1000, .packed = 100},
                              {.unpacked = 5, .packed = 150, .base = 2, .offset = 7, .length = 9}},
                   .copies = {{.literals = 1, .base = 1}, {.literals = 1004, .base = 2}}},
                  {.place = 9, .frames = {{.unpacked = 1, .packed = 50}}, .copies = {}}}};
}

Result<PackIndex> Read(const PackIndex& index, uint64_t frames = kFrames) {
  const std::string bytes = WritePackIndex(index);
  const uint64_t size = TRY(ParsePackHeader(bytes.substr(0, kPackHeaderBytes)));
  CHECK(size == bytes.size() - kPackHeaderBytes);
  return ParsePackIndex(bytes.substr(kPackHeaderBytes), kObjects, frames);
}

TEST_CASE("the index of a delta pack is read as it was written") {
  CHECK(Read(Good()) == Good());
}

TEST_CASE("an index of a delta pack that lies is refused") {
  PackIndex index = Good();
  PackObject& object = index.objects[0];
  uint64_t frames = kFrames;
  CHECK(Read(index));
  SECTION("an object that the commit has not") {
    object.place = kObjects;
  }
  SECTION("the same object twice") {
    object.place = index.objects[1].place;
  }
  SECTION("a base that the pack has not") {
    object.frames[1].base = 3;
  }
  SECTION("a copy of a base that the pack has not") {
    object.copies[1].base = 3;
  }
  SECTION("a copy of nothing") {
    object.copies[0].base = 0;
  }
  SECTION("a frame too large to be held") {
    object.frames[0].unpacked = kMaxFrameBytes + 1;
  }
  SECTION("a frame too long to be read") {
    frames += kMaxPackedFrameBytes;
    object.frames[0].packed += kMaxPackedFrameBytes;
  }
  SECTION("a prefix too long to be held") {
    object.frames[1].length = kMaxPrefixBytes + 1;
  }
  SECTION("a prefix beyond any file") {
    object.frames[1].offset = INT64_MAX;
  }
  SECTION("more literals before copies than there are") {
    object.copies[1].literals = 1005;
  }
  SECTION("fewer bytes of frames than the pack has") {
    object.frames[0].packed -= 1;
  }
  const Result<PackIndex> refused = Read(index, frames);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kNotTrusted);
}

TEST_CASE("an index of a delta pack that is cut off, or goes on, is refused") {
  const std::string bytes = WritePackIndex(Good()).substr(kPackHeaderBytes);
  for (size_t size = 0; size < bytes.size(); size++) {
    CAPTURE(size);
    const Result<PackIndex> refused = ParsePackIndex(bytes.substr(0, size), kObjects, kFrames);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::kNotTrusted);
  }
  CHECK_FALSE(ParsePackIndex(bytes + '\0', kObjects, kFrames));
  CHECK_FALSE(ParsePackIndex(std::string(8, '\xff') + '\1', kObjects, kFrames));  // 2^56 bases
  CHECK_FALSE(ParsePackHeader(std::string("HOSTPK1\n\0\0\0\0", 12)));
  CHECK_FALSE(ParsePackHeader(std::string("HOSTPK1\n\0\0\0\1", 12)));  // 16 MiB
  CHECK_FALSE(ParsePackHeader("HOSTPK2\n\1\0\0"));
  CHECK_FALSE(ParsePackHeader(""));
}

}  // namespace
}  // namespace hostos

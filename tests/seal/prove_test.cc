// The hash area, and reading a slot back: what veritysetup says, and what damage is named.
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <format>

#include "tests/seal/judges.h"
#include "tests/seal/test_tree.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

constexpr const char* kSalt = "233527de538070626277a4636d8d19a2fae2dec70723ae7dd685251d0d2d7607";

std::string Prove(const SealedFiles& files, const Digest& root) {
  UniqueFd image = Open(files.image, O_RDONLY).value(),
           verity = Open(files.verity, O_RDONLY).value();
  Result<> proved = ProveSeal(image.get(), verity.get(), files.sealed.size.image, root, {});
  if (proved) return "proved";
  CHECK(proved.error().code == Code::kNotTrusted);
  return proved.error().message;
}

std::string Prove(const SealedFiles& files) {
  return Prove(files, files.sealed.root_hash);
}

void FlipBit(const std::string& path, uint64_t offset) {
  UniqueFd fd = Open(path, O_RDWR).value();
  std::byte byte{};
  REQUIRE(PreadFull(fd.get(), {&byte, 1}, offset).value() == 1);
  byte ^= std::byte{0x10};
  REQUIRE(PwriteFull(fd.get(), {&byte, 1}, offset));
}

// Of so many blocks that the tree has `levels` levels.
TestTree TreeOfLevels(int levels) {
  TestTree t;
  if (levels >= 1) t.AddFile(0, "a", std::string(300000, 'a'));
  if (levels >= 2) t.AddFile(0, "b", std::string(3000000, 'b'));
  if (levels >= 3) t.AddFile(0, "c", std::string(70 << 20, 'c'));
  return t;
}

TEST_CASE("veritysetup makes the same hash area, and accepts ours") {
  int levels = GENERATE(0, 1, 2, 3);
  CAPTURE(levels);
  TempDir directory;
  TestTree t = TreeOfLevels(levels);
  SealedFiles files = SealInto(directory, "a", t.tree, t);
  std::string root = files.sealed.root_hash.Hex();

  CommandResult verify =
      Shell(std::format("veritysetup verify {} {} {}", files.image, files.verity, root));
  INFO(verify.output);
  CHECK(verify.status == 0);
  CommandResult format = Shell(
      std::format("veritysetup format --salt={} --uuid=00000000-0000-0000-0000-000000000000 {} {}",
                  kSalt, files.image, directory / "theirs"));
  INFO(format.output);
  CHECK(format.status == 0);
  CHECK_THAT(format.output, ContainsSubstring(root));
  CHECK(
      (ReadFile(files.verity, 1 << 30).value() == ReadFile(directory / "theirs", 1 << 30).value()));
  CHECK(Prove(files) == "proved");
}

TEST_CASE("one wrong bit anywhere in the image is found, and its block named") {
  TempDir directory;
  TestTree t = TreeOfLevels(2);
  SealedFiles files = SealInto(directory, "a", t.tree, t);
  uint64_t last = files.sealed.size.image / 4096 - 1;
  uint64_t block = GENERATE_COPY(0ul, 1ul, 127ul, 128ul, 256ul, last);
  FlipBit(files.image, block * 4096 + 17);
  CHECK_THAT(Prove(files), StartsWith(std::format("image, bytes {}-{}: expected", block * 4096,
                                                  block * 4096 + 4095)));
  CHECK(Shell(std::format("veritysetup verify {} {} {}", files.image, files.verity,
                          files.sealed.root_hash.Hex()))
            .status != 0);
}

TEST_CASE("one wrong bit anywhere in the hash area is found, and its block named") {
  TempDir directory;
  TestTree t = TreeOfLevels(2);
  SealedFiles files = SealInto(directory, "a", t.tree, t);
  for (uint64_t offset = 5; offset < files.sealed.size.verity; offset += 2048) {
    FlipBit(files.verity, offset);
    uint64_t start = offset / 4096 * 4096;
    CHECK_THAT(Prove(files),
               StartsWith(std::format("hash area, bytes {}-{}: expected", start, start + 4095)));
    FlipBit(files.verity, offset);
  }
  CHECK(Prove(files) == "proved");
}

TEST_CASE("another root hash is not proved by a sound image") {
  TempDir directory;
  TestTree t = TreeOfLevels(1);
  SealedFiles files = SealInto(directory, "a", t.tree, t);
  CHECK_THAT(Prove(files, Digest{}),
             StartsWith("hash area, bytes 4096-8191: expected the digest 0000"));
}

TEST_CASE("an image or hash area that ends early is not proved") {
  TempDir directory;
  TestTree t = TreeOfLevels(2);
  SealedFiles files = SealInto(directory, "a", t.tree, t);
  REQUIRE(::truncate(files.image.c_str(), 8192) == 0);
  CHECK_THAT(Prove(files), StartsWith(std::format("image: expected {} bytes, found 8192",
                                                  files.sealed.size.image)));
  REQUIRE(::truncate(files.image.c_str(), files.sealed.size.image) == 0);
  REQUIRE(::truncate(files.verity.c_str(), 4096) == 0);
  CHECK_THAT(Prove(files), StartsWith(std::format("hash area: expected {} bytes, found 4096",
                                                  files.sealed.size.verity)));
}

TEST_CASE("a size that no image has is not proved") {
  TempDir directory;
  TestTree t = TreeOfLevels(1);
  SealedFiles files = SealInto(directory, "a", t.tree, t);
  files.sealed.size.image = GENERATE(0, 4095, 4097);
  CHECK_THAT(Prove(files), StartsWith("image: expected a size in whole blocks"));
}

TEST_CASE("what lies behind the image on a larger device is not looked at") {
  TempDir directory;
  TestTree t = TreeOfLevels(1);
  SealedFiles files = SealInto(directory, "a", t.tree, t);
  for (const std::string& path : {files.image, files.verity})
    REQUIRE(::truncate(path.c_str(), 100 << 20) == 0);
  CHECK(Prove(files) == "proved");
}

TEST_CASE("a full device fails the seal") {
  TestTree t = TreeOfLevels(1);
  UniqueFd full = Open("/dev/full", O_RDWR).value();
  Result<Sealed> sealed = Seal(t.tree, t, full.get(), full.get(), {});
  REQUIRE(!sealed);
  CHECK(sealed.error().code == Code::kNoSpace);
  CHECK_THAT(sealed.error().message, ContainsSubstring("image: write"));
}

}  // namespace
}  // namespace hostos

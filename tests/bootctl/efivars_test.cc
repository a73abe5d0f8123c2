#include "bootctl/efivars.h"

#include "tests/bootctl/disk_machine.h"
#include "tests/bootctl/outcome.h"

namespace hostos {
namespace {

const std::string kName = "LoaderEntrySelected";
const std::string kFile = kName + "-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

Result<std::optional<std::string>> ReadRaw(const std::string& bytes) {
  TempDir directory;
  WriteText(directory / kFile, bytes);
  return ReadLoaderVariable(directory.path(), kName);
}

TEST_CASE("a loader variable is attributes and UTF-16LE text up to the first NUL") {
  CHECK(Held(ReadRaw({"\6\0\0\0x\0+\0\0\0y\0", 12})) == "x+");
  CHECK(Held(ReadRaw({"\6\0\0\0x\0", 6})) == "x");
  CHECK(Held(ReadRaw({"\6\0\0\0", 4})) == "");
  CHECK(Held(ReadRaw({"\6\0\0\0\xe4\0\xac\x20\x3d\xd8\0\xde", 12})) == "ä€😀");
}

TEST_CASE("an absent variable is no error, a malformed one is") {
  TempDir directory;
  CHECK(Held(ReadLoaderVariable(directory.path(), kName)) == std::nullopt);
  CHECK(Held(ReadLoaderVariable(directory / "none", kName)) == std::nullopt);
  CHECK_FALSE(ReadRaw(""));
  CHECK_FALSE(ReadRaw("\6"));
  CHECK_FALSE(ReadRaw({"\6\0\0\0x", 5}));
  CHECK_FALSE(ReadRaw({"\6\0\0\0\x3d\xd8x\0", 8}));  // half a surrogate pair
  CHECK_FALSE(ReadRaw({"\6\0\0\0\0\xde", 6}));
  CHECK_FALSE(ReadRaw(std::string(70000, 'x')));
}

}  // namespace
}  // namespace hostos

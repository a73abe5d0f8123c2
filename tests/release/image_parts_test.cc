#include "updater/release/image_parts.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/temp_dir.h"
#include "tests/text_file.h"

namespace hostos {
namespace {

Result<std::string> Assemble(const std::string& parts, uint64_t most) {
  const TempDir directory;
  WriteText(directory / "parts", parts);
  UniqueFd file = TRY(Open(directory / "parts", O_RDONLY));
  const UniqueFd image = TRY(OpenImage(
      std::move(file), most,
      [&](const std::string& path) -> Result<UniqueFd> {
        if (path != "/usr/lib/a") return Fail(Code::kNotFound, "no file {}", path);
        WriteText(directory / "a", "the content of a");
        return Open(directory / "a", O_RDONLY);
      },
      directory.path()));
  return ReadFile(std::format("/proc/self/fd/{}", image.get()));
}

constexpr std::string_view kImage = "MZthe content of athe content of a end";
const std::string kHeader = WriteImageHeader(Sha256::Of(AsBytes(kImage)));
const std::string kParts = kHeader + WriteImagePart("MZ", "/usr/lib/a") +
                           WriteImagePart("", "/usr/lib/a") + WriteImagePart(" end", "");

TEST_CASE("an image is put together of literal bytes and files") {
  CHECK(Assemble(kParts, kImage.size()) == std::string(kImage));
  CHECK(Assemble("MZ as a whole", 1) == "MZ as a whole");  // as releases had it before
}

TEST_CASE("parts that are damaged, or make more than was signed, make no image") {
  CHECK(Assemble(kParts, kImage.size() - 1).error().code == Code::kNotTrusted);
  for (size_t size = kImagePartsMagic.size(); size < kParts.size(); size++) {
    CAPTURE(size);
    const Result<std::string> cut = Assemble(kParts.substr(0, size), kImage.size());
    REQUIRE_FALSE(cut);
    CHECK(cut.error().code == Code::kNotTrusted);
  }
  const Result<std::string> other =
      Assemble(kHeader + WriteImagePart("MY", "/usr/lib/a"), kImage.size());
  CHECK(other.error().message.contains("a file is another than when it was made"));
  CHECK(Assemble(kHeader + WriteImagePart("", "/usr/lib/b"), 100).error().code == Code::kNotFound);
  CHECK_FALSE(Assemble(kHeader + std::string(20, '\xff'), 100));
}

}  // namespace
}  // namespace hostos

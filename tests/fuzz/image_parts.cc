// A boot image's parts as a repository may have them.
#include "updater/release/image_parts.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(image_parts, input) {
  constexpr uint64_t kMost = 1 << 16;
  const MemoryFile file(input), part("the content of a part");
  uint64_t bytes = 0;
  (void)AssembleImage(
      file.fd(), kMost,
      [&](const std::string& path) -> Result<UniqueFd> {
        PROMISE(!path.empty() && path.size() <= 4096);
        if (path == "/absent") return Fail(Code::kNotFound, "no such part");
        return Open(part.path(), O_RDONLY);
      },
      [&](std::span<const std::byte> piece) -> Result<> {
        bytes += piece.size();
        return {};
      });
  PROMISE(bytes <= kMost);
}

// A delta pack as a server may send it, for a commit of four objects whose bases are short.
#include <algorithm>

#include "tests/fuzz/fuzz.h"
#include "updater/source/pack_reader.h"

using namespace hostos;

namespace {

constexpr uint64_t kMost = 1 << 16;

// Each base is a hundred bytes that follow from its checksum.
class ShortBases : public PackBases {
 public:
  Result<size_t> Read(ObjectType, const Digest& base, uint64_t offset,
                      std::span<std::byte> into) override {
    const std::string content = base.Hex() + base.Hex().substr(28);
    if (content.starts_with("f")) return Fail(Code::kNotFound, "no such base");
    const std::string_view rest =
        std::string_view(content).substr(std::min(offset, content.size()));
    const size_t size = std::min(rest.size(), into.size());
    std::ranges::copy(AsBytes(rest.substr(0, size)), into.begin());
    return size;
  }
};

}  // namespace

FUZZ(delta_pack, input) {
  Commit commit;
  commit.sizes.resize(4);
  commit.sizes[3].type = ObjectType::kDirtree;
  if (const auto index = ParsePackIndex(input, commit.sizes.size(), 0)) {
    const std::string again = WritePackIndex(*index).substr(kPackHeaderBytes);
    PROMISE(ParsePackIndex(again, commit.sizes.size(), 0) == *index);
  }
  const MemoryFile file(input);
  Result<PackReader> reader = PackReader::Open(file.fd(), 0, input.size(), commit);
  if (!reader) return;
  ShortBases bases;
  for (size_t i = 0; i < reader->objects(); i++) {
    uint64_t bytes = 0;
    const Result<> unpacked =
        reader->Unpack(i, bases, kMost, [&](std::span<const std::byte> piece) -> Result<> {
          bytes += piece.size();
          return {};
        });
    PROMISE(bytes <= kMost);
  }
}

// Random trees: what is sealed is also proved, and now and then judged by fsck.erofs and the
// kernel.
#include "updater/seal/seal.h"

#include <fuzzer/FuzzedDataProvider.h>

#include <ranges>

#include "tests/fuzz/fuzz.h"
#include "tests/seal/test_tree.h"
#include "updater/seal/erofs_format.h"
#include "updater/seal/layout.h"

using namespace hostos;

namespace {

constexpr size_t kEntries = 200;
constexpr int kJudgeEvery = 500;

Metadata SomeMetadata(FuzzedDataProvider& data) {
  Metadata metadata{.uid = data.ConsumeIntegral<uint32_t>(),
                    .gid = data.ConsumeIntegral<uint32_t>(),
                    .mode = data.ConsumeIntegral<uint32_t>() & 07777,
                    .xattrs = {}};
  for (int i = data.ConsumeIntegralInRange(0, 3); i > 0; i--)
    metadata.xattrs.push_back(
        {"user." + data.ConsumeRandomLengthString(20), data.ConsumeRandomLengthString(300)});
  std::ranges::sort(metadata.xattrs);
  return metadata;
}

TestTree SomeTree(FuzzedDataProvider& data) {
  TestTree tree;
  std::vector<uint32_t> directories = {0}, files;
  for (size_t i = 0; i < kEntries && data.remaining_bytes() > 0; i++) {
    const uint32_t parent =
        directories[data.ConsumeIntegralInRange<size_t>(0, directories.size() - 1)];
    const std::string name = data.ConsumeRandomLengthString(255);
    switch (data.ConsumeIntegralInRange(0, 3)) {
      case 0:
        directories.push_back(tree.AddDirectory(parent, name, SomeMetadata(data)));
        break;
      case 1:
        files.push_back(
            tree.AddFile(parent, name,
                         std::string(data.ConsumeIntegralInRange<size_t>(0, 20'000), 'x') +
                             data.ConsumeRandomLengthString(100),
                         SomeMetadata(data)));
        break;
      case 2:
        tree.AddLink(parent, name, data.ConsumeRandomLengthString(200), SomeMetadata(data));
        break;
      case 3:
        if (!files.empty())
          tree.AddPath(parent, name,
                       files[data.ConsumeIntegralInRange<size_t>(0, files.size() - 1)]);
        break;
    }
  }
  return tree;
}

// Gives the files places from the last to the first, with gaps, and now and then a wrong one.
void Lay(FuzzedDataProvider& data, Tree& tree) {
  const auto inodes = erofs::Inodes::Of(tree);
  if (!inodes) return;
  const auto layout = erofs::Layout::Of(*inodes);
  if (!layout) return;
  uint64_t at = layout->blocks;
  const std::vector<uint32_t> files = layout->FilesWithBlocks(*inodes);
  for (const uint32_t i : files | std::views::reverse) {
    tree.starts.insert(tree.starts.begin(), static_cast<uint32_t>(at));
    at += erofs::Blocks(inodes->all()[i].size) + data.ConsumeIntegralInRange(0, 3);
  }
  if (!tree.starts.empty() && data.ConsumeIntegralInRange(0, 9) == 0)
    tree.starts.front() = data.ConsumeIntegralInRange(0u, 2 * tree.starts.front());
}

}  // namespace

FUZZ(seal, input) {
  FuzzedDataProvider data(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  TestTree tree = SomeTree(data);
  if (data.ConsumeBool()) Lay(data, tree.tree);
  const Result<SealSize> size = Measure(tree.tree);
  const MemoryFile image(""), verity("");
  const Result<Sealed> sealed = Seal(tree.tree, tree, image.fd(), verity.fd(), {});
  PROMISE(size.has_value() == sealed.has_value());
  if (!sealed) return;
  PROMISE(sealed->size == *size);
  PROMISE(ProveSeal(image.fd(), verity.fd(), size->image, sealed->root_hash, {}));

  static int count = 0;
  if (++count % kJudgeEvery != 0) return;
  const std::string path =
      "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(image.fd());
  PROMISE(std::system(("fsck.erofs " + path + " >/dev/null").c_str()) == 0);
  PROMISE(std::system(("d=$(mktemp -d) && mount -t erofs -o ro,loop " + path +
                       " $d && ls -lR $d >/dev/null && umount $d && rmdir $d")
                          .c_str()) == 0);
}

// Seal format 2: files lie where the signed commit says.
#include "updater/seal/layout.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <functional>
#include <ranges>

#include "tests/seal/judges.h"
#include "tests/seal/test_tree.h"
#include "updater/seal/erofs_format.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

// The last file first, and gaps of three blocks between them.
void LayBackwards(Tree& tree) {
  const erofs::Inodes inodes = erofs::Inodes::Of(tree).value();
  const erofs::Layout layout = erofs::Layout::Of(inodes).value();
  uint64_t at = layout.blocks;
  const std::vector<uint32_t> files = layout.FilesWithBlocks(inodes);
  for (const uint32_t i : files | std::views::reverse) {
    tree.starts.insert(tree.starts.begin(), static_cast<uint32_t>(at));
    at += erofs::Blocks(inodes.all()[i].size) + 3;
  }
}

// Where the largest file lies: the next one is the farthest behind it.
uint32_t Largest(std::vector<uint32_t> starts) {
  std::ranges::sort(starts);
  size_t largest = 0;
  for (size_t n = 1; n + 1 < starts.size(); n++)
    if (starts[n + 1] - starts[n] > starts[largest + 1] - starts[largest]) largest = n;
  return starts[largest];
}

TEST_CASE("files lie where a layout says, and the kernel shows the same tree") {
  TempDir directory;
  TestTree t = VariedTree();
  LayBackwards(t.tree);
  const SealedFiles files = SealInto(directory, "a", t.tree, t);
  const CommandResult fsck = Shell("fsck.erofs --extract --xattrs " + files.image);
  INFO(fsck.output);
  CHECK(fsck.status == 0);
  if (std::string reason = NoMountReason(); !reason.empty()) SKIP(reason);
  CheckSameTree(t.tree, t, Mount(files.image).path());
}

TEST_CASE("seal format 2 is frozen: this tree has had this root hash from the beginning") {
  TempDir directory;
  TestTree t = VariedTree();
  LayBackwards(t.tree);
  CHECK(SealInto(directory, "a", t.tree, t).sealed.root_hash.Hex() ==
        "258674712151fbabe46d2caa4743f0eb602a4d7cc0f3151d6176697c51726298");
}

TEST_CASE("a layout that is none of the tree is refused") {
  const TestTree t = VariedTree();
  auto why = [&](const std::function<void(std::vector<uint32_t>&)>& change) {
    Tree tree = t.tree;
    LayBackwards(tree);
    REQUIRE(Measure(tree));
    change(tree.starts);
    const Result<SealSize> size = Measure(tree);
    if (size) return std::string("sealed");
    CHECK(size.error().code == Code::kNotTrusted);
    return size.error().message;
  };
  CHECK_THAT(why([](auto& starts) { starts.pop_back(); }),
             ContainsSubstring("layout: expected the places of 12 files, found 11"));
  CHECK_THAT(why([](auto& starts) { starts.push_back(100'000); }), ContainsSubstring("found 13"));
  // In the directories; at, in and before another file; beyond the end of any image.
  CHECK_THAT(why([](auto& starts) { starts.back() = 1; }), ContainsSubstring("found 1"));
  CHECK_THAT(why([](auto& starts) { starts[0] = starts[1]; }),
             ContainsSubstring("expected a place from block"));
  CHECK_THAT(why([](auto& starts) { starts[0] = Largest(starts) + 5; }),
             ContainsSubstring("expected a place from block"));
  CHECK_THAT(why([](auto& starts) { starts[0] = UINT32_MAX; }),
             ContainsSubstring("expected a place from block"));
}

}  // namespace
}  // namespace hostos

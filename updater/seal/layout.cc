#include "updater/seal/layout.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "updater/seal/erofs_format.h"
#include "updater/seal/xattrs.h"

namespace hostos::erofs {
namespace {

constexpr uint32_t kSlotsPerBlock = kBlock / kSlot;

// Allocates runs of slots. A run that fits into one block never crosses into the next, as the
// kernel requires for inline data: it goes where the least room is left. A longer run begins a
// block.
class SlotAllocator {
 public:
  SlotAllocator() {
    constexpr uint32_t kUsed = (kSuperblockOffset + sizeof(Superblock)) / kSlot;
    rooms_.insert({kSlotsPerBlock - kUsed, 0});
  }

  uint64_t Take(uint64_t slots) {
    auto room = rooms_.lower_bound({slots, 0});
    if (room == rooms_.end()) {
      uint64_t first = blocks_;
      blocks_ += (slots + kSlotsPerBlock - 1) / kSlotsPerBlock;
      Leave(blocks_ * kSlotsPerBlock - (first * kSlotsPerBlock + slots), blocks_ - 1);
      return first * kSlotsPerBlock;
    }
    auto [free, block] = *room;
    rooms_.erase(room);
    Leave(free - slots, block);
    return (block + 1) * kSlotsPerBlock - free;
  }

  uint64_t blocks() const { return blocks_; }

 private:
  void Leave(uint64_t slots, uint64_t block) {
    if (slots > 0) rooms_.insert({slots, block});
  }

  std::set<std::pair<uint64_t, uint64_t>>
      rooms_;  // free slots at the end of a block, and the block
  uint64_t blocks_ = 1;
};

// How an inode is stored, except where.
Result<Place> Shape(const Inode& inode) {
  const Metadata& metadata = *inode.metadata;
  Place place;
  place.xattr_size = static_cast<uint32_t>(TRY(XattrBodySize(metadata.xattrs)));
  place.extended = metadata.uid > UINT16_MAX || metadata.gid > UINT16_MAX ||
                   inode.nlink > UINT16_MAX || inode.size > UINT32_MAX;
  // A directory's blocks are made here, so its last block may lie apart. A file's content is read
  // once, from start to end, so it must lie in one place.
  uint64_t tail = inode.is_directory() ? inode.size % kBlock : inode.size;
  size_t head = place.extended ? sizeof(ExtendedInode) : sizeof(CompactInode);
  if (head + place.xattr_size + tail <= kBlock) place.tail = static_cast<uint32_t>(tail);
  return place;
}

uint64_t MetadataSlots(const Place& place) {
  size_t head = place.extended ? sizeof(ExtendedInode) : sizeof(CompactInode);
  return (head + place.xattr_size + place.tail + kSlot - 1) / kSlot;
}

}  // namespace

Result<Layout> Layout::Of(const Inodes& inodes) {
  std::span<const Inode> all = inodes.all();
  Layout layout;
  layout.places.reserve(all.size());
  SlotAllocator allocator;
  for (uint32_t i = 0; i < all.size(); i++) {
    Place& place = layout.places.emplace_back(TRY_CONTEXT(inodes.PathOf(i), Shape(all[i])));
    place.nid = allocator.Take(MetadataSlots(place));
  }
  layout.by_nid.resize(all.size());
  std::ranges::iota(layout.by_nid, 0);
  std::ranges::sort(layout.by_nid, {}, [&](uint32_t i) { return layout.places[i].nid; });

  const bool placed = !inodes.tree().starts.empty();
  uint64_t blocks = allocator.blocks();
  for (bool directories : {true, false})
    for (uint32_t i = 0; i < all.size(); i++) {
      if (all[i].is_directory() != directories || all[i].size == layout.places[i].tail) continue;
      if (placed && all[i].kind == Inode::Kind::kFile) continue;
      layout.places[i].block = static_cast<uint32_t>(blocks);
      blocks += Blocks(all[i].size - layout.places[i].tail);
      layout.data.push_back(i);
      if (blocks > UINT32_MAX)
        return Fail(Code::kNotSupported, "expected a tree of less than 16 TiB, found more");
    }
  layout.blocks = static_cast<uint32_t>(blocks);
  if (placed) TRY(layout.PlaceFiles(inodes));
  return layout;
}

std::vector<uint32_t> Layout::FilesWithBlocks(const Inodes& inodes) const {
  std::vector<uint32_t> files;
  for (uint32_t i = 0; i < places.size(); i++)
    if (const Inode& inode = inodes.all()[i];
        inode.kind == Inode::Kind::kFile && inode.size > places[i].tail)
      files.push_back(i);
  return files;
}

// Behind all else, where the tree says.
Result<> Layout::PlaceFiles(const Inodes& inodes) {
  const std::span<const Inode> all = inodes.all();
  std::span<const uint32_t> starts = inodes.tree().starts;
  std::vector<uint32_t> files = FilesWithBlocks(inodes);
  if (starts.size() != files.size())
    return Fail(Code::kNotTrusted, "layout: expected the places of {} files, found {}",
                files.size(), starts.size());
  for (size_t n = 0; n < files.size(); n++) places[files[n]].block = starts[n];
  std::ranges::sort(files, {}, [&](uint32_t i) { return places[i].block; });
  for (uint32_t i : files) {
    const uint64_t end = places[i].block + Blocks(all[i].size - places[i].tail);
    if (places[i].block < blocks || end > UINT32_MAX)
      return Fail(Code::kNotTrusted, "layout: {}: expected a place from block {} on, found {}",
                  inodes.PathOf(i), blocks, places[i].block);
    blocks = static_cast<uint32_t>(end);
    data.push_back(i);
  }
  return {};
}

}  // namespace hostos::erofs

#include "images/publish/stable_layout.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

#include "images/publish/pack_bases.h"
#include "updater/seal/erofs_format.h"
#include "updater/seal/inodes.h"
#include "updater/seal/layout.h"
#include "updater/source/scan.h"

namespace hostos {
namespace {

using erofs::Inodes;
using erofs::Layout;

struct Extent {
  uint64_t start = 0, blocks = 0;
};

// A file with blocks of its own.
struct File {
  Digest checksum;
  std::string path;  // the first
  Extent place;
};

std::vector<File> FilesIn(const Inodes& inodes, const Layout& layout) {
  std::vector<File> files;
  for (const uint32_t i : layout.FilesWithBlocks(inodes)) {
    const erofs::Inode& inode = inodes.all()[i];
    const erofs::Place& place = layout.places[i];
    files.push_back({inodes.tree().files[inode.index].checksum,
                     inodes.PathOf(i),
                     {place.block, erofs::Blocks(inode.size - place.tail)}});
  }
  return files;
}

// The room for files: everything from one block on.
class Room {
 public:
  explicit Room(uint64_t begin) { free_[begin] = UINT64_MAX; }

  // Takes a place, if all of it is free.
  bool Take(const Extent& place) {
    auto gap = free_.upper_bound(place.start);
    if (gap == free_.begin()) return false;
    const auto [begin, end] = *--gap;
    if (place.start + place.blocks > end) return false;
    free_.erase(gap);
    if (begin < place.start) free_[begin] = place.start;
    free_[place.start + place.blocks] = end;
    if (place.start + place.blocks == end) free_.erase(end);
    used_ = std::max(used_, place.start + place.blocks);
    return true;
  }

  // Takes `blocks` where the least room is left.
  uint64_t TakeAnywhere(uint64_t blocks) {
    std::pair<uint64_t, uint64_t> best = {UINT64_MAX, 0};  // blocks of the gap, its begin
    for (const auto& [begin, end] : free_)
      if (end - begin >= blocks) best = std::min(best, {end - begin, begin});
    (void)Take({best.second, blocks});
    return best.second;
  }

  uint64_t used() const { return used_; }

 private:
  std::map<uint64_t, uint64_t> free_;  // gaps, by their begin: the end
  uint64_t used_ = 0;
};

}  // namespace

Result<std::vector<uint32_t>> StableLayout(const Tree& tree, const Repo& repo,
                                           const Commit& before) {
  const Scan old = TRY(ScanCommit(repo, before));
  const Inodes old_inodes = TRY(Inodes::Of(old.tree));
  std::unordered_map<Digest, Extent> held;
  for (const File& file : FilesIn(old_inodes, TRY(Layout::Of(old_inodes))))
    held[file.checksum] = file.place;

  const Inodes inodes = TRY(Inodes::Of(tree));
  const Layout natural = TRY(Layout::Of(inodes));  // without gaps
  const std::vector<File> files = FilesIn(inodes, natural);
  uint64_t begin = natural.blocks;  // of the room for files
  for (const File& file : files) begin -= file.place.blocks;
  Room room(begin);

  std::vector<uint64_t> places(files.size());  // 0: none yet
  auto take = [&](size_t n, std::optional<Extent> from) {
    if (from && room.Take({from->start, files[n].place.blocks})) places[n] = from->start;
  };
  auto place_of = [&](const Digest& checksum) -> std::optional<Extent> {
    const auto found = held.find(checksum);
    if (found == held.end()) return std::nullopt;
    return found->second;
  };
  for (size_t n = 0; n < files.size(); n++) take(n, place_of(files[n].checksum));
  const PathFinder predecessors(TRY(WalkPaths(repo, before)));
  std::vector<size_t> left;
  for (size_t n = 0; n < files.size(); n++) {
    if (places[n] != 0) continue;
    if (const auto predecessor = predecessors.Find(files[n].path)) take(n, place_of(*predecessor));
    if (places[n] == 0) left.push_back(n);
  }
  // The largest first: small ones fill what is left.
  std::ranges::stable_sort(left, std::greater(), [&](size_t n) { return files[n].place.blocks; });
  for (const size_t n : left) places[n] = room.TakeAnywhere(files[n].place.blocks);

  if (room.used() > natural.blocks + natural.blocks / 8) {
    begin += begin / 8;  // the inodes of the next release may need more room
    for (size_t n = 0; n < files.size(); begin += files[n++].place.blocks) places[n] = begin;
  }
  return std::vector<uint32_t>(places.begin(), places.end());
}

}  // namespace hostos

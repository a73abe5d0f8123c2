// Where everything lies in the image. Block 0 holds the superblock. Right after it begins the
// metadata area, which packs the inodes, each with its xattrs and, if it fits, its tail. Whole data
// blocks follow, directories before files, and these where Tree::starts says, if it does.
// docs/seal-format.md has the rules.
#pragma once

#include <cstdint>
#include <vector>

#include "updater/base/result.h"
#include "updater/seal/inodes.h"

namespace hostos::erofs {

struct Place {
  uint64_t nid = 0;         // slot in the metadata area
  uint32_t block = 0;       // first data block, 0 when there is none
  uint32_t xattr_size = 0;  // of the body after the inode
  uint32_t tail = 0;        // bytes of content after inode and xattrs
  bool extended = false;
};

struct Layout {
  std::vector<Place> places;     // by inode
  std::vector<uint32_t> by_nid;  // inodes in the order of the metadata area
  std::vector<uint32_t> data;    // inodes with data blocks, in the order of the data area
  uint32_t blocks = 0;           // of the image

  // kNotTrusted when the tree's `starts` are no layout of it.
  static Result<Layout> Of(const Inodes& inodes);

  // The inodes of content objects that have data blocks, in their order: those that Tree::starts
  // places.
  std::vector<uint32_t> FilesWithBlocks(const Inodes& inodes) const;

 private:
  Result<> PlaceFiles(const Inodes& inodes);
};

}  // namespace hostos::erofs

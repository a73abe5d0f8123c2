// The blocks of an erofs directory: each block takes as many entries as fit, in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "updater/seal/inodes.h"

namespace hostos::erofs {

// How many children, counted from the first, fit into one block, and how many bytes they use.
struct DirectoryFit {
  size_t children;
  size_t bytes;
};
DirectoryFit FitDirectoryBlock(std::span<const Listing::Child> children);

// Size of the directory's content: whole blocks, plus what the last block's children use.
uint64_t DirectorySize(const Listing& listing);

}  // namespace hostos::erofs

// The blocks of an erofs directory: as many entries as fit go into each block, in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "updater/seal/inodes.h"

namespace hostos::erofs {

// How many children, from the first, one block takes, and the bytes they fill of it.
struct DirectoryFit {
  size_t children;
  size_t bytes;
};
DirectoryFit FitDirectoryBlock(std::span<const Listing::Child> children);

// Size of the directory's content: whole blocks, and what the last block's children fill.
uint64_t DirectorySize(const Listing& listing);

}  // namespace hostos::erofs

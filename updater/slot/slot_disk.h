// The partitions of the slot that does not run: write a sealed image and its hash tree, then prove
// by reading back from the medium that the signed root hash comes out.
#pragma once

#include "updater/base/progress.h"
#include "updater/base/release.h"
#include "updater/base/result.h"

namespace hostos {

class SlotDisk {
 public:
  virtual ~SlotDisk() = default;

  // Reads `release.image_size` bytes of `image`, a stream that nobody vouches for, into the slot's
  // two partitions, fsynced. kNetwork when the stream ends early: its sender knows why. kNotTrusted
  // when the root hash that comes out is not `release.root_hash`; kNoSpace when a partition is too
  // small.
  virtual Result<> Write(Slot slot, const Release& release, int image, Progress& progress) = 0;

  // Reads the slot's image from the medium, not from the cache, and recomputes the hash tree;
  // the stored tree is compared as well. kNotTrusted names the first byte range that differs.
  virtual Result<> Prove(Slot slot, const Release& release, Progress& progress) = 0;
};

}  // namespace hostos

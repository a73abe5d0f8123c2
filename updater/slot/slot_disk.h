// The partitions of a slot: writes a sealed image and its hash tree to the slot that does not run,
// and proves a slot by reading it back from the medium and comparing it with the signed root hash.
#pragma once

#include "updater/base/progress.h"
#include "updater/base/release.h"
#include "updater/base/result.h"

namespace hostos {

class SlotDisk {
 public:
  virtual ~SlotDisk() = default;

  // Reads `release.image_size` bytes from `image`, an untrusted stream, into the slot's two
  // partitions, and fsyncs them. Returns how many bytes of the image the slot did not hold already;
  // the others are not written. kNetwork when the stream ends early: its sender knows why.
  // kNotTrusted when the resulting root hash is not `release.root_hash`. kNoSpace when a partition
  // is too small.
  virtual Result<uint64_t> Write(Slot slot, const Release& release, int image,
                                 Progress& progress) = 0;

  // Reads the slot's image and hash tree from the medium, not from the cache, and checks every byte
  // against the release's root hash. kNotTrusted names the first byte range that differs.
  virtual Result<> Prove(Slot slot, const Release& release, Progress& progress) = 0;
};

}  // namespace hostos

// Seals a release: turns its tree into an erofs image and the image's dm-verity hash area. A pure
// function: the same tree gives the same bytes, on any machine, at any time; docs/seal-format.md
// defines them. Reads every file once, writes both outputs from their start, and needs a few MiB
// beside the tree. One end of a stream makes the image, the other hashes it: so whoever makes the
// image need not be able to write it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/base/tree.h"

namespace hostos {

// The versions of docs/seal-format.md that this library implements: hostos.seal-format in the
// metadata of a release's commit. They differ in Tree::starts.
constexpr std::array<uint32_t, 2> kSealFormats = {1, 2};

struct SealSize {
  uint64_t image = 0;   // bytes of the erofs image, a multiple of 4096
  uint64_t verity = 0;  // bytes of the hash area, superblock included
  auto operator<=>(const SealSize&) const = default;
};

struct Sealed {
  Digest root_hash;
  SealSize size;
};

// Bytes of the image written or proved so far. May be empty.
using SealProgress = std::function<void(uint64_t done, uint64_t total)>;

// The size of the sealed tree, without reading content. Also checks the tree: kFailed or
// kNotSupported name the path that cannot be sealed.
Result<SealSize> Measure(const Tree& tree);

// The same for an image that exists already. kNotTrusted when `image` cannot be an image's size.
Result<SealSize> SizeOfImage(uint64_t image);

// Sends the image through a stream socket, from first byte to last. If nobody reads any more, it
// ends early without an error.
Result<> SendImage(const Tree& tree, ContentReader& content, int socket);

struct Received {
  Digest root_hash;
  uint64_t written = 0;  // bytes of the image that its file or device did not hold already
};

// Reads an image of `size` bytes from a stream; writes it and its hash area to files or block
// devices, from offset 0. Blocks of the image that the medium holds already are not written. Does
// not sync and does not truncate; what a failure leaves is no image. Interprets nothing in the
// image, so its sender need not be trusted. kNetwork when the stream ended early or stalled: the
// sender knows why.
Result<Received> ReceiveImage(int stream, uint64_t size, int image_fd, int verity_fd,
                              const SealProgress& progress);

// Runs both ends: a second thread sends what this one receives.
Result<Sealed> Seal(const Tree& tree, ContentReader& content, int image_fd, int verity_fd,
                    const SealProgress& progress);

// Reads image and hash area back from the medium, not from the page cache, and checks every byte
// against the root hash. kNotTrusted names the first byte range that differs. `image_size` is a
// multiple of 4096. What the devices hold after the image and the hash area is ignored.
Result<> ProveSeal(int image_fd, int verity_fd, uint64_t image_size, const Digest& root_hash,
                   const SealProgress& progress);

}  // namespace hostos

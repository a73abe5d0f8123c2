// Sealing: a release's tree becomes an erofs image and its dm-verity hash area. A pure function:
// the same tree gives the same bytes, on any machine, at any time; docs/seal-format.md defines
// them. Reads every file once, writes both outputs from their start, and needs a few MiB beside the
// tree. The image is made at one end of a stream and hashed at the other, so that who makes it need
// not be who may write it.
#pragma once

#include <cstdint>
#include <functional>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/base/tree.h"

namespace hostos {

// The version of docs/seal-format.md that this library makes: hostos.seal-format in the metadata of
// a release's commit.
constexpr uint32_t kSealFormat = 1;

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

// How large the sealed tree is; reads no content. Also the check of a tree: kFailed or
// kNotSupported name the path that cannot be sealed.
Result<SealSize> Measure(const Tree& tree);

// The same of an image that is there already. kNotTrusted when `image` is no size of one.
Result<SealSize> SizeOfImage(uint64_t image);

// Sends the image through a stream socket, from its first byte to its last. Ends early, and that is
// no error, when nobody reads it any more.
Result<> SendImage(const Tree& tree, ContentReader& content, int socket);

// Takes an image of `size` bytes from a stream, and writes it and its hash area to files or block
// devices from their offset 0; returns the root hash. They are not synced and not truncated. What a
// failure leaves is no image. Nothing of the image is understood: it may be anybody's. kNetwork
// when the stream ended early, or stood still: its sender knows why.
Result<Digest> ReceiveImage(int stream, uint64_t size, int image_fd, int verity_fd,
                            const SealProgress& progress);

// Both ends in one: a thread of its own sends what is received.
Result<Sealed> Seal(const Tree& tree, ContentReader& content, int image_fd, int verity_fd,
                    const SealProgress& progress);

// Reads both back from the medium, not from the page cache, and checks every byte of them against
// the root hash. kNotTrusted names the first byte range that differs. `image_size` is a multiple of
// 4096; what the devices hold behind the image and the hash area is not looked at.
Result<> ProveSeal(int image_fd, int verity_fd, uint64_t image_size, const Digest& root_hash,
                   const SealProgress& progress);

}  // namespace hostos

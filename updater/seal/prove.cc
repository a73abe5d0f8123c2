#include <fcntl.h>

#include <algorithm>

#include "updater/base/unique_fd.h"
#include "updater/seal/block_hasher.h"
#include "updater/seal/hash_tree.h"
#include "updater/seal/medium.h"
#include "updater/seal/seal.h"

namespace hostos {
namespace {

// While it lives, `fd` is read from the medium: directly if the file system can, else after writing
// back and dropping the cache.
class MediumReads {
 public:
  explicit MediumReads(int fd) : fd_(fd), flags_(::fcntl(fd, F_GETFL)) {
    if (::fcntl(fd_, F_SETFL, flags_ | O_DIRECT) == 0) return;
    DropCache(fd_);
  }
  ~MediumReads() { (void)::fcntl(fd_, F_SETFL, flags_); }
  MediumReads(const MediumReads&) = delete;
  MediumReads& operator=(const MediumReads&) = delete;

 private:
  int fd_;
  int flags_;
};

}  // namespace

Result<> ProveSeal(int image_fd, int verity_fd, uint64_t image_size, const Digest& root_hash,
                   const SealProgress& progress) {
  TRY(SizeOfImage(image_size));
  const MediumReads image_reads(image_fd), verity_reads(verity_fd);
  verity::HashTreeReader tree(verity_fd, image_size / verity::kBlock, root_hash);
  TRY(tree.CheckSuperblock());
  verity::BlockHasher hasher([&](uint64_t block, const Digest& found) -> Result<> {
    const Digest expected = TRY(tree.Expected(block));
    if (found != expected)
      return Fail(Code::kNotTrusted,
                  "image, bytes {}-{}: expected the digest {}, found {}; write the slot again",
                  block * verity::kBlock, (block + 1) * verity::kBlock - 1, expected.Hex(),
                  found.Hex());
    return {};
  });
  for (uint64_t done = 0; done < image_size;) {
    std::span<std::byte> buffer = TRY(hasher.Next());
    buffer = buffer.first(std::min<uint64_t>(buffer.size(), image_size - done));
    size_t n = TRY_CONTEXT("image", PreadFull(image_fd, buffer, done));
    if (n < buffer.size())
      return Fail(Code::kNotTrusted, "image: expected {} bytes, found {}", image_size, done + n);
    hasher.Submit(buffer.size());
    done += n;
    if (progress) progress(done, image_size);
  }
  return hasher.Finish();
}

}  // namespace hostos

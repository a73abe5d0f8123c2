#include "updater/seal/hash_tree.h"

#include <cstring>

#include "updater/base/unique_fd.h"

namespace hostos::verity {

HashTreeWriter::HashTreeWriter(int fd, uint64_t data_blocks)
    : fd_(fd), geometry_(data_blocks), levels_(geometry_.levels.size()) {}

Result<> HashTreeWriter::AddTo(size_t level, const Digest& digest) {
  if (level == levels_.size()) {
    root_ = digest;
    return {};
  }
  Level& to = levels_[level];
  std::memcpy(to.block.data() + to.digests * sizeof digest, digest.bytes.data(), sizeof digest);
  if (++to.digests == kDigestsPerBlock) return Flush(level);
  return {};
}

Result<> HashTreeWriter::Flush(size_t level) {
  Level& full = levels_[level];
  TRY(PwriteFull(fd_, full.block, (geometry_.levels[level].first + full.written) * kBlock));
  full.written++;
  full.digests = 0;
  Digest digest = HashBlock(full.block);
  full.block.fill(std::byte{0});
  return AddTo(level + 1, digest);
}

Result<Digest> HashTreeWriter::Finish() {
  for (size_t level = 0; level < levels_.size(); level++)
    if (levels_[level].digests > 0) TRY(Flush(level));
  TRY(PwriteFull(fd_, Superblock(geometry_.data_blocks), 0));
  return root_;
}

HashTreeReader::HashTreeReader(int fd, uint64_t data_blocks, const Digest& root)
    : fd_(fd), geometry_(data_blocks), root_(root), levels_(geometry_.levels.size()) {}

Result<> HashTreeReader::CheckSuperblock() {
  const Block expected = Superblock(geometry_.data_blocks);
  alignas(kBlock) Block found;
  TRY(Read(0, found));
  if (found != expected)
    return Fail(Code::kNotTrusted,
                "hash area, bytes 0-{}: expected the superblock of an image of {} bytes, found "
                "another; write the slot again",
                kBlock - 1, geometry_.data_blocks * kBlock);
  return {};
}

Result<Digest> HashTreeReader::DigestBelow(size_t level, uint64_t index) {
  if (level == levels_.size()) return root_;
  Level& cached = levels_[level];
  if (uint64_t number = index / kDigestsPerBlock; number != cached.number) {
    const uint64_t block = geometry_.levels[level].first + number;
    const Digest expected = TRY(DigestBelow(level + 1, number));
    TRY(Read(block, cached.block));
    const Digest found = HashBlock(cached.block);
    if (found != expected)
      return Fail(Code::kNotTrusted,
                  "hash area, bytes {}-{}: expected the digest {}, found {}; write the slot again",
                  block * kBlock, (block + 1) * kBlock - 1, expected.Hex(), found.Hex());
    cached.number = number;
  }
  Digest digest;
  std::memcpy(digest.bytes.data(), cached.block.data() + index % kDigestsPerBlock * sizeof digest,
              sizeof digest);
  return digest;
}

Result<> HashTreeReader::Read(uint64_t block, Block& buffer) {
  size_t size = TRY(PreadFull(fd_, buffer, block * kBlock));
  if (size != buffer.size())
    return Fail(Code::kNotTrusted, "hash area: expected {} bytes, found {}",
                geometry_.blocks * kBlock, block * kBlock + size);
  return {};
}

}  // namespace hostos::verity

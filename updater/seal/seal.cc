#include "updater/seal/seal.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <future>
#include <vector>

#include "updater/base/unique_fd.h"
#include "updater/seal/block_hasher.h"
#include "updater/seal/hash_tree.h"
#include "updater/seal/image_stream.h"
#include "updater/seal/image_writer.h"
#include "updater/seal/inodes.h"
#include "updater/seal/layout.h"
#include "updater/seal/medium.h"
#include "updater/seal/verity_format.h"

namespace hostos {

Result<SealSize> Measure(const Tree& tree) {
  const erofs::Inodes inodes = TRY(erofs::Inodes::Of(tree));
  return SizeOfImage(uint64_t{TRY(erofs::Layout::Of(inodes)).blocks} * verity::kBlock);
}

Result<SealSize> SizeOfImage(uint64_t image) {
  if (image == 0 || image % verity::kBlock != 0)
    return Fail(Code::kNotTrusted, "image: expected a size in whole blocks of {} bytes, found {}",
                verity::kBlock, image);
  return SealSize{.image = image,
                  .verity = verity::Geometry(image / verity::kBlock).blocks * verity::kBlock};
}

Result<> SendImage(const Tree& tree, ContentReader& content, int socket) {
  const erofs::Inodes inodes = TRY(erofs::Inodes::Of(tree));
  const erofs::Layout layout = TRY(erofs::Layout::Of(inodes));
  ImageStream stream(socket);
  Result<> sent = erofs::WriteImage(inodes, layout, content, stream);
  if (sent) sent = stream.Flush();
  return stream.abandoned() ? Result<>() : sent;
}

namespace {

// Whether one of a few blocks in `bytes` is in the file already.
bool HoldsSome(int fd, std::span<const std::byte> bytes, uint64_t offset) {
  constexpr size_t kProbes = 8;
  std::array<std::byte, verity::kBlock> held;
  const size_t blocks = bytes.size() / verity::kBlock;
  for (size_t i = 0; i < std::min(kProbes, blocks); i++) {
    const size_t at = i * blocks / kProbes * verity::kBlock;
    if (PreadFull(fd, held, offset + at) == held.size() &&
        std::memcmp(&bytes[at], held.data(), held.size()) == 0)
      return true;
  }
  return false;
}

// Writes the blocks that the file does not hold already: flash wears out by writing. Returns their
// bytes. What cannot be read is written. After bytes of which it held nothing, `sparsely` looks at
// a few blocks before it reads all: a slot may hold nothing of use.
Result<uint64_t> WriteChanged(int fd, std::span<const std::byte> bytes, uint64_t offset,
                              std::span<std::byte> held, bool sparsely) {
  const bool compare = !sparsely || HoldsSome(fd, bytes, offset);
  const size_t n = compare ? PreadFull(fd, held.first(bytes.size()), offset).value_or(0) : 0;
  auto holds = [&](size_t at) {
    return at + verity::kBlock <= n && std::memcmp(&bytes[at], &held[at], verity::kBlock) == 0;
  };
  uint64_t written = 0;
  for (size_t at = 0; at < bytes.size(); at += verity::kBlock) {
    const size_t begin = at;
    while (at < bytes.size() && !holds(at)) at += verity::kBlock;
    TRY(PwriteFull(fd, bytes.subspan(begin, at - begin), offset + begin));
    written += at - begin;
  }
  // Starts writeback now, so the fsync at the end has little left to do. Only a hint.
  if (written > 0)
    (void)::sync_file_range(fd, static_cast<off_t>(offset), static_cast<off_t>(bytes.size()),
                            SYNC_FILE_RANGE_WRITE);
  return written;
}

}  // namespace

Result<Received> ReceiveImage(int stream, uint64_t size, int image_fd, int verity_fd,
                              const SealProgress& progress) {
  TRY(SizeOfImage(size));
  DropCache(image_fd);  // compared is what the medium holds
  std::vector<std::byte> held(verity::BlockHasher::kBufferSize);
  uint64_t written = 0;
  bool holds_nothing = false;
  verity::HashTreeWriter tree(verity_fd, size / verity::kBlock);
  verity::BlockHasher hasher([&](uint64_t, const Digest& digest) { return tree.Add(digest); });
  for (uint64_t done = 0; done < size;) {
    std::span<std::byte> buffer = TRY(hasher.Next());
    buffer = buffer.first(std::min<uint64_t>(buffer.size(), size - done));
    const Result<size_t> n = ReadFull(stream, buffer);
    if (!n) return Fail(Code::kNetwork, "image: {}", n.error().message);
    if (*n < buffer.size())
      return Fail(Code::kNetwork, "image: expected {} bytes, found {}", size, done + *n);
    hasher.Submit(*n);
    const uint64_t changed =
        TRY_CONTEXT("image", WriteChanged(image_fd, buffer, done, held, holds_nothing));
    holds_nothing = changed == buffer.size();
    written += changed;
    done += *n;
    if (progress) progress(done, size);
  }
  TRY(hasher.Finish());
  return Received{TRY(tree.Finish()), written};
}

Result<Sealed> Seal(const Tree& tree, ContentReader& content, int image_fd, int verity_fd,
                    const SealProgress& progress) {
  const SealSize size = TRY(Measure(tree));
  auto [reader, writer] = TRY(StreamPair());
  auto sent = std::async(std::launch::async, [&tree, &content, &writer] {
    const UniqueFd socket = std::move(writer);
    return SendImage(tree, content, socket.get());
  });
  const Result<Received> received =
      ReceiveImage(reader.get(), size.image, image_fd, verity_fd, progress);
  reader = {};
  TRY(sent.get());  // says why it ended early
  return Sealed{.root_hash = TRY(received).root_hash, .size = size};
}

}  // namespace hostos

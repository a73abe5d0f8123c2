// Hashes a stream of 4096-byte blocks in order, on two processors: a helper thread hashes the
// earlier buffers while the caller fills one, and the caller helps instead of waiting. Only the
// caller does input and output, so what reaches the disk, and in which order, does not depend on
// timing. Memory: kBuffers buffers of kBufferSize, however long the stream is.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/seal/verity_format.h"

namespace hostos::verity {

class BlockHasher {
 public:
  static constexpr size_t kBufferSize = 1 << 20;

  // `consume` gets every block's number and digest, in order, in the caller's thread.
  using Consumer = std::function<Result<>(uint64_t block, const Digest& digest)>;
  explicit BlockHasher(Consumer consume);
  ~BlockHasher();
  BlockHasher(const BlockHasher&) = delete;
  BlockHasher& operator=(const BlockHasher&) = delete;

  // An empty buffer of kBufferSize bytes, aligned for direct I/O.
  Result<std::span<std::byte>> Next();
  // Appends the first `bytes` of the last Next() to the stream: whole blocks, at least one. From
  // then on the buffer must not change; it may be read until the next call.
  void Submit(size_t bytes);
  // Waits until everything submitted is hashed and consumed.
  Result<> Finish();

 private:
  static constexpr size_t kBuffers = 4;
  static constexpr size_t kBlocksPerBuffer = kBufferSize / kBlock;

  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  struct Buffer {
    std::unique_ptr<std::byte, Free> memory;
    std::array<Digest, kBlocksPerBuffer> digests;
    size_t blocks = 0;   // submitted; 0 when the buffer is free
    size_t claimed = 0;  // blocks that a thread has taken
    size_t hashed = 0;
  };

  void Work();
  bool HashSome(std::unique_lock<std::mutex>& lock, Sha256& hash);
  Result<> Collect(Buffer& buffer);

  Consumer consume_;
  std::array<Buffer, kBuffers> buffers_;
  uint64_t next_ = 0;       // buffers submitted so far
  uint64_t collected_ = 0;  // blocks consumed so far

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Buffer*> queue_;  // buffers with unclaimed blocks, oldest first
  bool stop_ = false;
  std::thread helper_;
};

}  // namespace hostos::verity

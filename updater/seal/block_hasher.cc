#include "updater/seal/block_hasher.h"

#include <algorithm>
#include <new>
#include <system_error>

namespace hostos::verity {
namespace {

// What a thread claims at a time: enough that claiming costs nothing, little enough that two
// threads finish a buffer together.
constexpr size_t kBlocksPerClaim = 16;

}  // namespace

BlockHasher::BlockHasher(Consumer consume) : consume_(std::move(consume)) {
  for (Buffer& buffer : buffers_) {
    buffer.memory.reset(static_cast<std::byte*>(std::aligned_alloc(kBlock, kBufferSize)));
    if (!buffer.memory) std::abort();  // as a failed operator new would
  }
  try {
    helper_ = std::thread([this] { Work(); });
  } catch (const std::system_error&) {
    // No thread available: the caller hashes everything itself.
  }
}

BlockHasher::~BlockHasher() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    queue_.clear();
  }
  changed_.notify_all();
  if (helper_.joinable()) helper_.join();
}

Result<std::span<std::byte>> BlockHasher::Next() {
  Buffer& buffer = buffers_[next_ % kBuffers];
  TRY(Collect(buffer));
  return std::span(buffer.memory.get(), kBufferSize);
}

void BlockHasher::Submit(size_t bytes) {
  Buffer& buffer = buffers_[next_++ % kBuffers];
  {
    std::lock_guard lock(mutex_);
    buffer.blocks = bytes / kBlock;
    buffer.claimed = buffer.hashed = 0;
    queue_.push_back(&buffer);
  }
  changed_.notify_all();
}

Result<> BlockHasher::Finish() {
  for (size_t i = 0; i < kBuffers; i++) TRY(Collect(buffers_[(next_ + i) % kBuffers]));
  return {};
}

// Buffers are collected in the order of submission, so this one is the oldest in use and its
// unclaimed blocks come first.
Result<> BlockHasher::Collect(Buffer& buffer) {
  if (buffer.blocks == 0) return {};
  {
    Sha256 hash = Salted();
    std::unique_lock lock(mutex_);
    while (buffer.hashed < buffer.blocks)
      if (buffer.claimed == buffer.blocks || !HashSome(lock, hash)) changed_.wait(lock);
  }
  for (size_t i = 0; i < buffer.blocks; i++) TRY(consume_(collected_++, buffer.digests[i]));
  buffer.blocks = 0;
  return {};
}

void BlockHasher::Work() {
  Sha256 hash = Salted();
  std::unique_lock lock(mutex_);
  while (!stop_)
    if (!HashSome(lock, hash)) changed_.wait(lock);
}

// Hashes a few blocks of the oldest buffer; false if there are none. `lock` is released only while
// hashing.
bool BlockHasher::HashSome(std::unique_lock<std::mutex>& lock, Sha256& hash) {
  if (queue_.empty()) return false;
  Buffer& buffer = *queue_.front();
  size_t first = buffer.claimed;
  size_t end = buffer.claimed = std::min(first + kBlocksPerClaim, buffer.blocks);
  if (end == buffer.blocks) queue_.pop_front();
  lock.unlock();
  for (size_t i = first; i < end; i++) {
    hash = Salted();
    hash.Update({buffer.memory.get() + i * kBlock, kBlock});
    buffer.digests[i] = hash.Finish();
  }
  lock.lock();
  buffer.hashed += end - first;
  if (buffer.hashed == buffer.blocks) changed_.notify_all();
  return true;
}

}  // namespace hostos::verity

#include "updater/seal/image_stream.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "updater/base/unique_fd.h"

namespace hostos {

ImageStream::ImageStream(int image_fd, int verity_fd, uint64_t blocks, const Progress& progress)
    : image_fd_(image_fd),
      total_(blocks * verity::kBlock),
      progress_(progress),
      tree_(verity_fd, blocks),
      hasher_([this](uint64_t, const Digest& digest) { return tree_.Add(digest); }) {}

Result<> ImageStream::Append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    std::span<std::byte> room = TRY(Room());
    size_t n = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), n);
    filled_ += n;
    bytes = bytes.subspan(n);
  }
  return {};
}

Result<> ImageStream::AppendFrom(int fd, uint64_t size) {
  for (uint64_t left = size; left > 0;) {
    std::span<std::byte> room = TRY(Room());
    size_t wanted = std::min<uint64_t>(room.size(), left);
    size_t n = TRY(ReadFull(fd, room.first(wanted)));
    if (n < wanted)
      return Fail(Code::kFailed, "expected {} bytes, found {}", size, size - left + n);
    filled_ += n;
    left -= n;
  }
  return {};
}

Result<> ImageStream::PadTo(uint64_t offset) {
  while (flushed_ + filled_ < offset) {
    std::span<std::byte> room = TRY(Room());
    size_t n = std::min<uint64_t>(room.size(), offset - flushed_ - filled_);
    std::memset(room.data(), 0, n);
    filled_ += n;
  }
  return {};
}

Result<Digest> ImageStream::Finish() {
  if (filled_ > 0) TRY(Flush());
  TRY(hasher_.Finish());
  return tree_.Finish();
}

Result<std::span<std::byte>> ImageStream::Room() {
  if (filled_ == buffer_.size()) {
    if (filled_ > 0) TRY(Flush());
    buffer_ = TRY(hasher_.Next());
    filled_ = 0;
  }
  return buffer_.subspan(filled_);
}

Result<> ImageStream::Flush() {
  hasher_.Submit(filled_);
  TRY_CONTEXT("image", PwriteFull(image_fd_, buffer_.first(filled_), flushed_));
  // Writeback begins now, so that the fsync at the end finds little left to do. It is only a hint.
  (void)::sync_file_range(image_fd_, static_cast<off_t>(flushed_), static_cast<off_t>(filled_),
                          SYNC_FILE_RANGE_WRITE);
  flushed_ += filled_;
  buffer_ = {};
  filled_ = 0;
  if (progress_) progress_(flushed_, total_);
  return {};
}

}  // namespace hostos

#include "updater/source/pack_reader.h"

#include <zstd.h>

#include <algorithm>

#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

Result<> ReadExactly(int file, std::span<std::byte> into, uint64_t at) {
  const size_t found = TRY(PreadFull(file, into, at));
  if (found == into.size()) return {};
  return Fail(Code::kNotTrusted, "delta pack: expected {} bytes at {}, found {}", into.size(), at,
              found);
}

}  // namespace

Result<PackReader> PackReader::Open(int file, uint64_t begin, uint64_t size, const Commit& commit) {
  std::string header(kPackHeaderBytes, '\0');
  TRY(ReadExactly(file, std::as_writable_bytes(std::span(header)), begin));
  std::string index(TRY(ParsePackHeader(header)), '\0');
  TRY(ReadExactly(file, std::as_writable_bytes(std::span(index)), begin + header.size()));
  const uint64_t before = header.size() + index.size();
  if (size < before)
    return Fail(Code::kNotTrusted, "delta pack: expected at least {} bytes, found {}", before,
                size);
  PackReader reader(file, commit);
  reader.index_ = TRY(ParsePackIndex(index, commit.sizes.size(), size - before));
  uint64_t at = begin + before;
  for (const PackObject& object : reader.index_.objects) {
    reader.begins_.push_back(at);
    at += object.packed();
  }
  // At once: while a vector grows, its old memory and its new are there.
  reader.packed_.reserve(kMaxPackedFrameBytes);
  reader.prefix_.reserve(kMaxPrefixBytes);
  reader.literals_.reserve(kMaxFrameBytes);
  reader.zstd_ = {ZSTD_createDCtx(), &ZSTD_freeDCtx};
  if (!reader.zstd_) return Fail(Code::kFailed, "zstd: out of memory");
  return reader;
}

const ObjectSize& PackReader::object(size_t which) const {
  return commit_->sizes[index_.objects[which].place];
}

Result<> PackReader::Unpack(size_t which, PackBases& bases, uint64_t most, const Sink& sink) {
  const PackObject& object = index_.objects[which];
  const ObjectType type = commit_->sizes[object.place].type;
  uint64_t at = begins_[which], left = most;
  auto frame = object.frames.begin();
  std::span<const std::byte> literals;
  const Sink bounded = [&](std::span<const std::byte> piece) -> Result<> {
    if (piece.size() > left)
      return Fail(Code::kNotTrusted, "expected an object of at most {} bytes, found more", most);
    left -= piece.size();
    return sink(piece);
  };
  // Hands out so many literal bytes, or all that are left.
  const auto hand_out = [&](uint64_t count) -> Result<> {
    while (count > 0) {
      if (literals.empty()) {
        if (frame == object.frames.end()) return {};
        TRY(NextFrame(*frame, at, type, bases));
        at += frame++->packed;
        literals = literals_;
        continue;
      }
      const auto piece = literals.first(std::min<uint64_t>(count, literals.size()));
      TRY(bounded(piece));
      count -= piece.size();
      literals = literals.subspan(piece.size());
    }
    return {};
  };
  for (const PackCopy& copy : object.copies) {
    TRY(hand_out(copy.literals));
    TRY(Copy(index_.bases[copy.base - 1], bases, bounded));
  }
  return hand_out(UINT64_MAX);
}

// Unpacks a frame into literals_.
Result<> PackReader::NextFrame(const PackFrame& frame, uint64_t at, ObjectType type,
                               PackBases& bases) {
  packed_.resize(frame.packed);
  TRY(ReadExactly(file_, packed_, at));
  prefix_.resize(frame.length);
  if (frame.base > 0) {
    const Digest& base = index_.bases[frame.base - 1];
    const size_t found = TRY(bases.Read(type, base, frame.offset, prefix_));
    if (found != prefix_.size())
      return Fail(Code::kNotTrusted, "delta pack: base {}: expected {} bytes at {}, found {}",
                  base.Hex(), frame.length, frame.offset, found);
    ZSTD_DCtx_refPrefix(zstd_.get(), prefix_.data(), prefix_.size());
  }
  literals_.resize(frame.unpacked);
  const size_t unpacked = ZSTD_decompressDCtx(zstd_.get(), literals_.data(), literals_.size(),
                                              packed_.data(), packed_.size());
  if (!ZSTD_isError(unpacked) && unpacked == frame.unpacked) return {};
  return Fail(Code::kNotTrusted, "delta pack: frame at {}: expected {} bytes, found {}", at,
              frame.unpacked,
              ZSTD_isError(unpacked) ? ZSTD_getErrorName(unpacked) : std::to_string(unpacked));
}

// Hands out a whole file.
Result<> PackReader::Copy(const Digest& base, PackBases& bases, const Sink& sink) {
  prefix_.resize(1 << 20);
  for (uint64_t offset = 0;;) {
    const size_t found = TRY(bases.Read(ObjectType::kFile, base, offset, prefix_));
    if (found == 0) return {};
    TRY(sink(std::span(prefix_).first(found)));
    offset += found;
  }
}

}  // namespace hostos

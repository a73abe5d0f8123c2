#include "updater/release/delta_pack.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "updater/base/unique_fd.h"
#include "updater/release/varint.h"

namespace hostos {
namespace {

constexpr std::string_view kMagic = "HOSTPK1\n";

// Takes numbers from the index. The first that is missing or out of bounds makes it fail, and all
// that follow are 0.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes), size_(bytes.size()) {}

  uint64_t Number(uint64_t most) {
    const std::optional<uint64_t> value = TakeVarint(rest_);
    if (value && *value <= most) return *value;
    return Stop(), 0;
  }
  // How many things follow. Each takes a byte at least.
  size_t Count() { return Number(rest_.size()); }
  Digest Checksum() {
    Digest digest;
    if (rest_.size() < digest.bytes.size()) return Stop(), digest;
    std::ranges::copy(rest_.substr(0, digest.bytes.size()), digest.bytes.begin());
    rest_.remove_prefix(digest.bytes.size());
    return digest;
  }

  Result<> Finish() {
    if (!stopped_at_ && rest_.empty()) return {};
    return Fail(Code::kNotTrusted, "delta pack: its index is damaged at byte {} of {}",
                stopped_at_.value_or(size_ - rest_.size()), size_);
  }

 private:
  void Stop() {
    if (!stopped_at_) stopped_at_ = size_ - rest_.size();
    rest_ = {};
  }

  std::string_view rest_;
  size_t size_;
  std::optional<size_t> stopped_at_;
};

template <class T>
uint64_t Sum(const std::vector<T>& all, uint64_t T::* member) {
  return std::transform_reduce(all.begin(), all.end(), uint64_t{0}, std::plus<>(),
                               [&](const T& one) { return one.*member; });
}

PackObject ReadObject(Reader& reader, size_t objects, size_t bases) {
  PackObject object;
  object.place = static_cast<uint32_t>(reader.Number(objects - 1));
  for (size_t left = reader.Count(); left > 0; left--) {
    PackFrame& frame = object.frames.emplace_back();
    frame.unpacked = reader.Number(kMaxFrameBytes);
    frame.packed = reader.Number(kMaxPackedFrameBytes);
    frame.base = static_cast<uint32_t>(reader.Number(bases));
    if (frame.base == 0) continue;
    frame.offset = reader.Number(INT64_MAX - kMaxPrefixBytes);
    frame.length = reader.Number(kMaxPrefixBytes);
  }
  const uint64_t literals = object.unpacked();
  for (size_t left = reader.Count(); left > 0; left--) {
    PackCopy& copy = object.copies.emplace_back();
    copy.literals = reader.Number(literals);
    copy.base = static_cast<uint32_t>(reader.Number(bases));
  }
  return object;
}

}  // namespace

uint64_t PackObject::packed() const {
  return Sum(frames, &PackFrame::packed);
}
uint64_t PackObject::unpacked() const {
  return Sum(frames, &PackFrame::unpacked);
}

Result<uint64_t> ParsePackHeader(std::string_view bytes) {
  uint64_t size = 0;
  if (bytes.size() == kPackHeaderBytes)
    for (size_t i = 0; i < 4; i++)
      size |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[kMagic.size() + i])) << (8 * i);
  if (bytes.starts_with(kMagic) && size > 0 && size <= kMaxPackIndexBytes) return size;
  return Fail(Code::kNotTrusted, "delta pack: expected its header, found none");
}

Result<PackIndex> ParsePackIndex(std::string_view bytes, size_t objects, uint64_t frames) {
  Reader reader(bytes);
  PackIndex index;
  for (size_t left = reader.Count(); left > 0; left--) index.bases.push_back(reader.Checksum());
  for (size_t left = reader.Count(); left > 0; left--)
    index.objects.push_back(ReadObject(reader, objects, index.bases.size()));
  TRY(reader.Finish());
  uint64_t packed = 0;
  std::vector<int> times(objects);
  for (const PackObject& object : index.objects) {
    packed += object.packed();
    if (object.place >= objects || times[object.place]++ > 0 ||
        Sum(object.copies, &PackCopy::literals) > object.unpacked() ||
        std::ranges::contains(object.copies, 0u, &PackCopy::base))
      return Fail(Code::kNotTrusted,
                  "delta pack: expected each object once, of literal bytes and copies, "
                  "found at place {} none that can be",
                  object.place);
  }
  if (packed != frames)
    return Fail(Code::kNotTrusted, "delta pack: expected {} bytes of frames, found {}", packed,
                frames);
  return index;
}

std::string WritePackIndex(const PackIndex& index) {
  std::string bytes;
  AppendVarint(bytes, index.bases.size());
  for (const Digest& base : index.bases) bytes.append(base.bytes.begin(), base.bytes.end());
  AppendVarint(bytes, index.objects.size());
  for (const PackObject& object : index.objects) {
    AppendVarint(bytes, object.place);
    AppendVarint(bytes, object.frames.size());
    for (const PackFrame& frame : object.frames) {
      for (const uint64_t number : {frame.unpacked, frame.packed, uint64_t{frame.base}})
        AppendVarint(bytes, number);
      if (frame.base == 0) continue;
      for (const uint64_t number : {frame.offset, frame.length}) AppendVarint(bytes, number);
    }
    AppendVarint(bytes, object.copies.size());
    for (const PackCopy& copy : object.copies)
      for (const uint64_t number : {copy.literals, uint64_t{copy.base}})
        AppendVarint(bytes, number);
  }
  std::string header(kMagic);
  for (size_t i = 0; i < 4; i++) header += static_cast<char>(bytes.size() >> (8 * i) & 0xff);
  return header + bytes;
}

std::string PackPath(const Digest& from, const Digest& to) {
  return std::format("packs/{}/{}.pack", to.Hex(), from.Hex());
}

}  // namespace hostos

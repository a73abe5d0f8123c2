#include "updater/release/image_parts.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "updater/release/varint.h"

namespace hostos {
namespace {

constexpr uint64_t kMaxPath = 4096;
constexpr size_t kMaxVarint = 10;

class Parts {
 public:
  Parts(int file, uint64_t most, const ImageSink& sink) : file_(file), left_(most), sink_(sink) {}

  Result<> Header() {
    if (TRY(Text(kImagePartsMagic.size())) != kImagePartsMagic) return Damaged();
    std::ranges::copy(TRY(Text(image_.bytes.size())), image_.bytes.begin());
    return {};
  }
  Result<bool> AtEnd() {
    std::array<std::byte, 1> next;
    return TRY(PreadFull(file_, next, at_)) == 0;
  }
  Result<uint64_t> Number() {
    std::array<char, kMaxVarint> bytes;
    const size_t size = TRY(PreadFull(file_, std::as_writable_bytes(std::span(bytes)), at_));
    std::string_view rest(bytes.data(), size);
    const std::optional<uint64_t> number = TakeVarint(rest);
    if (!number) return Damaged();
    at_ += size - rest.size();
    return *number;
  }
  Result<std::string> Text(uint64_t size) {
    if (size > kMaxPath) return Damaged();
    std::string text(size, '\0');
    if (TRY(PreadFull(file_, std::as_writable_bytes(std::span(text)), at_)) != size)
      return Damaged();
    at_ += size;
    return text;
  }
  Result<> HandOutLiterals(uint64_t size) {
    while (size > 0) {
      const auto piece = std::span(buffer_).first(std::min<uint64_t>(size, buffer_.size()));
      if (TRY(PreadFull(file_, piece, at_)) != piece.size()) return Damaged();
      TRY(HandOut(piece));
      at_ += piece.size();
      size -= piece.size();
    }
    return {};
  }
  Result<> Finish() {
    if (const Digest found = hash_.Finish(); found != image_)
      return Fail(
          Code::kNotTrusted,
          "image parts: expected an image with SHA-256 {}, found {}: a file is another than "
          "when it was made",
          image_.Hex(), found.Hex());
    return {};
  }
  Result<> HandOutFile(int file) {
    while (const size_t size = TRY(ReadFull(file, buffer_)))
      TRY(HandOut(std::span(buffer_).first(size)));
    return {};
  }

 private:
  std::unexpected<Error> Damaged() const {
    return Fail(Code::kNotTrusted, "image parts: damaged at byte {}", at_);
  }
  Result<> HandOut(std::span<const std::byte> piece) {
    hash_.Update(piece);
    if (piece.size() > left_)
      return Fail(Code::kNotTrusted, "image parts: expected {} bytes less", piece.size() - left_);
    left_ -= piece.size();
    return sink_(piece);
  }

  int file_;
  uint64_t at_ = 0, left_;
  Digest image_;
  Sha256 hash_;
  const ImageSink& sink_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(1 << 16);
};

}  // namespace

std::string WriteImageHeader(const Digest& image) {
  return std::string(kImagePartsMagic).append(image.bytes.begin(), image.bytes.end());
}

std::string WriteImagePart(std::string_view literals, std::string_view path) {
  std::string part;
  for (const std::string_view text : {literals, path}) {
    AppendVarint(part, text.size());
    part += text;
  }
  return part;
}

Result<> AssembleImage(int file, uint64_t most, const OpenPart& open, const ImageSink& sink) {
  Parts parts(file, most, sink);
  TRY(parts.Header());
  while (!TRY(parts.AtEnd())) {
    const uint64_t literals = TRY(parts.Number());
    TRY(parts.HandOutLiterals(literals));
    const uint64_t length = TRY(parts.Number());
    const std::string path = TRY(parts.Text(length));
    if (path.empty()) continue;
    const UniqueFd from = TRY_CONTEXT("image parts: " + path, open(path));
    TRY_CONTEXT("image parts: " + path, parts.HandOutFile(from.get()));
  }
  return parts.Finish();
}

Result<UniqueFd> OpenImage(UniqueFd file, uint64_t most, const OpenPart& open,
                           const std::string& directory) {
  std::string magic(kImagePartsMagic.size(), '\0');
  TRY(PreadFull(file.get(), std::as_writable_bytes(std::span(magic)), 0));
  if (magic != kImagePartsMagic) return file;
  UniqueFd image = TRY(Open(directory, O_TMPFILE | O_RDWR, 0600));
  TRY(AssembleImage(file.get(), most, open, [&](std::span<const std::byte> piece) {
    return WriteFull(image.get(), piece);
  }));
  if (::lseek(image.get(), 0, SEEK_SET) < 0) return FailErrno(directory);
  return image;
}

}  // namespace hostos

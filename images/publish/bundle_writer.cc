#include "images/publish/bundle_writer.h"

#include <algorithm>
#include <array>
#include <format>

#include "updater/base/unique_fd.h"
#include "updater/source/ustar.h"

namespace hostos {
namespace {

constexpr uint64_t kMaxTarSize = (uint64_t{1} << 33) - 1;  // 11 octal digits

template <size_t N>
void PutOctal(char (&field)[N], uint64_t value) {
  const std::string digits = std::format("{:0{}o}", value, N - 1);
  std::ranges::copy(digits, field);
}

}  // namespace

Result<> BundleWriter::Write(std::span<const std::byte> data) {
  TRY(WriteFull(fd_, data));
  bytes_ += data.size();
  return {};
}

Result<> BundleWriter::Add(const std::string& name, int content, uint64_t size) {
  TarHeader header{};
  size_t split = 0;  // where the prefix ends, when the name is too long for its field
  if (name.size() > sizeof header.name)
    split = name.find('/', name.size() - sizeof header.name - 1);
  if (name.empty() || split > sizeof header.prefix || size > kMaxTarSize)
    return Fail(Code::kNotSupported, "{} ({} bytes) does not fit into a ustar archive", name, size);
  std::ranges::copy(name.substr(0, split), header.prefix);
  std::ranges::copy(name.substr(split == 0 ? 0 : split + 1), header.name);
  PutOctal(header.mode, 0644);
  PutOctal(header.uid, 0);
  PutOctal(header.gid, 0);
  PutOctal(header.size, size);
  PutOctal(header.mtime, 0);
  header.type = '0';
  std::ranges::copy(kTarMagic, header.magic);
  PutOctal(header.checksum, TarChecksum(header));
  TRY(Write(std::as_bytes(std::span(&header, 1))));
  std::array<std::byte, 64 << 10> buffer;
  for (uint64_t left = size; left > 0;) {
    const std::span wanted = std::span(buffer).first(std::min<uint64_t>(left, buffer.size()));
    const size_t n = TRY(ReadFull(content, wanted));
    if (n < wanted.size())
      return Fail(Code::kFailed, "{}: expected {} bytes, found {}", name, size, size - left + n);
    TRY(Write(wanted));
    left -= n;
  }
  const TarBlock zeros{};
  return Write(std::span(zeros).first(RoundUpTar(size) - size));
}

Result<> BundleWriter::Finish() {
  const std::array<std::byte, 2 * kTarBlock> end{};
  return Write(end);
}

}  // namespace hostos

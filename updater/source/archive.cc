#include "updater/source/archive.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <numeric>
#include <optional>

#include "updater/tuf/name.h"

namespace hostos {
namespace {

constexpr uint64_t kTarBlock = 512;
constexpr size_t kMaxFiles = 1 << 20;
constexpr uint64_t kMaxTarSize = (uint64_t{1} << 33) - 1;  // 11 octal digits
constexpr std::string_view kMagic{
    "ustar\0"
    "00",
    8};

using TarBlock = std::array<std::byte, kTarBlock>;

// The header block, as the standard has it.
struct TarHeader {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
  char magic[8], user[32], group[32], major[8], minor[8], prefix[155], padding[12];
};
static_assert(sizeof(TarHeader) == kTarBlock);

uint64_t RoundUp(uint64_t size) {
  return (size + kTarBlock - 1) / kTarBlock * kTarBlock;
}

template <size_t N>
std::string_view Text(const char (&field)[N]) {
  return {field, ::strnlen(field, N)};
}

// Octal digits, ended by a NUL or a space.
template <size_t N>
std::optional<uint64_t> Octal(const char (&field)[N]) {
  std::string_view text = Text(field);
  text = text.substr(0, text.find(' '));
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

template <size_t N>
void PutOctal(char (&field)[N], uint64_t value) {
  const std::string digits = std::format("{:0{}o}", value, N - 1);
  std::ranges::copy(digits, field);
}

// The sum of the header's bytes, with spaces in place of the checksum.
uint64_t Checksum(TarHeader header) {
  std::ranges::fill(header.checksum, ' ');
  TarBlock bytes;
  std::memcpy(bytes.data(), &header, bytes.size());
  return std::accumulate(bytes.begin(), bytes.end(), uint64_t{0},
                         [](uint64_t sum, std::byte b) { return sum + std::to_integer<int>(b); });
}

bool AllZero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{}; });
}

struct TarEntry {
  std::string name;
  uint64_t size = 0;
};

Result<TarEntry> ParseTarHeader(const TarBlock& block) {
  TarHeader header;
  std::memcpy(&header, block.data(), block.size());
  if (std::string_view(header.magic, sizeof header.magic) != kMagic)
    return Fail(Code::kNotTrusted, "expected a ustar header, found none");
  if (const auto sum = Octal(header.checksum); sum != Checksum(header))
    return Fail(Code::kNotTrusted, "expected a header with the checksum {:o}, found {}",
                Checksum(header), Text(header.checksum));
  if (header.type != '0')
    return Fail(Code::kNotTrusted, "expected a regular file, found type '{}'", header.type);
  const std::string_view prefix = Text(header.prefix);
  const std::optional<uint64_t> size = Octal(header.size);
  const std::string name =
      std::format("{}{}{}", prefix, prefix.empty() ? "" : "/", Text(header.name));
  if (!size || !tuf::StaysBelow(name))
    return Fail(Code::kNotTrusted,
                "expected a size, and a name without '..' and empty parts, found '{}'",
                tuf::EncodePath(name));
  return TarEntry{name, *size};
}

}  // namespace

Result<Archive> Archive::Open(const std::string& path) {
  UniqueFd file = TRY(hostos::Open(path, O_RDONLY));
  struct stat status;
  if (::fstat(file.get(), &status) < 0) return FailErrno(path);
  if (S_ISDIR(status.st_mode)) return Archive(path, UniqueFd());
  if (!S_ISREG(status.st_mode))
    return Fail(Code::kUsage, "{}: expected a directory or a file, found neither", path);
  Archive bundle(path, std::move(file));
  TRY_CONTEXT(path, bundle.ReadIndex(static_cast<uint64_t>(status.st_size)));
  return bundle;
}

Result<> Archive::ReadIndex(uint64_t size) {
  for (uint64_t offset = 0;;) {
    const std::string where = std::format("byte {}", offset);
    TarBlock block;
    if (TRY(PreadFull(bundle_.get(), block, offset)) < block.size())
      return Fail(Code::kNotTrusted,
                  "{}: expected another file or the end mark, found the end: "
                  "it is cut off",
                  where);
    if (AllZero(block)) return {};
    TarEntry entry = TRY_CONTEXT(where, ParseTarHeader(block));
    offset += kTarBlock;
    if (entry.size > size - std::min(size, offset))
      return Fail(Code::kNotTrusted, "{}: {}: expected {} bytes, found {}: it is cut off", where,
                  entry.name, entry.size, size - std::min(size, offset));
    if (files_.size() == kMaxFiles)
      return Fail(Code::kNotTrusted, "{}: expected at most {} files, found more", where, kMaxFiles);
    const Extent extent{offset, entry.size};
    if (const auto [at, added] = files_.try_emplace(std::move(entry.name), extent); !added)
      return Fail(Code::kNotTrusted, "{}: {} is there twice", where, at->first);
    offset += RoundUp(entry.size);
  }
}

Result<Archive::File> Archive::OpenFile(const std::string& name) const {
  if (!bundle_) {
    const std::string path = path_ + "/" + name;
    File file{TRY(hostos::Open(path, O_RDONLY | O_NONBLOCK))};  // nothing waits for a FIFO's writer
    struct stat status;
    if (::fstat(file.fd.get(), &status) < 0) return FailErrno(path);
    if (!S_ISREG(status.st_mode))
      return Fail(Code::kNotTrusted, "{}: expected a regular file", path);
    file.size = static_cast<uint64_t>(status.st_size);
    return file;
  }
  const auto found = files_.find(name);
  if (found == files_.end())
    return Fail(Code::kNotFound,
                "{}: there is no {} in this bundle; it was made for another version, or for "
                "nodes that run another release",
                path_, name);
  File file{TRY(hostos::Open(path_, O_RDONLY)), found->second.size};
  if (::lseek(file.fd.get(), static_cast<off_t>(found->second.offset), SEEK_SET) < 0)
    return FailErrno(path_);
  return file;
}

Result<std::string> Archive::Fetch(const std::string& name, size_t cap) {
  const File file = TRY(OpenFile(name));
  if (file.size > cap)
    return Fail(Code::kNotTrusted, "{}: {}: expected at most {} bytes, found {}", path_, name, cap,
                file.size);
  std::string bytes(file.size, '\0');
  const size_t size =
      TRY_CONTEXT(path_, ReadFull(file.fd.get(), std::as_writable_bytes(std::span(bytes))));
  bytes.resize(size);  // what became shorter meanwhile is not what was signed
  return bytes;
}

Result<> BundleWriter::Write(std::span<const std::byte> data) {
  TRY(WriteFull(fd_, data));
  bytes_ += data.size();
  return {};
}

Result<> BundleWriter::Add(const std::string& name, int content, uint64_t size) {
  TarHeader header{};
  size_t split = 0;  // of the prefix, when the name is too long for its field
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
  std::ranges::copy(kMagic, header.magic);
  PutOctal(header.checksum, Checksum(header));
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
  return Write(std::span(zeros).first(RoundUp(size) - size));
}

Result<> BundleWriter::Finish() {
  const std::array<std::byte, 2 * kTarBlock> end{};
  return Write(end);
}

std::string ObjectPath(const Digest& checksum, std::string_view extension) {
  const std::string hex = checksum.Hex();
  return std::format("objects/{}/{}.{}", hex.substr(0, 2), hex.substr(2), extension);
}

std::string ObjectPath(const ObjectSize& object) {
  switch (object.type) {
    case ObjectType::kFile:
      return ObjectPath(object.checksum, "filez");
    case ObjectType::kDirtree:
      return ObjectPath(object.checksum, "dirtree");
    case ObjectType::kDirmeta:
      return ObjectPath(object.checksum, "dirmeta");
    case ObjectType::kCommit:
      break;
  }
  return ObjectPath(object.checksum, "commit");
}

}  // namespace hostos

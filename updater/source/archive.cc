#include "updater/source/archive.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include "updater/source/ustar.h"
#include "updater/tuf/name.h"

namespace hostos {
namespace {

constexpr size_t kMaxFiles = 1 << 20;

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
  if (std::string_view(header.magic, sizeof header.magic) != kTarMagic)
    return Fail(Code::kNotTrusted, "expected a ustar header, found none");
  if (const auto sum = Octal(header.checksum); sum != TarChecksum(header))
    return Fail(Code::kNotTrusted, "expected a header with the checksum {:o}, found {}",
                TarChecksum(header), Text(header.checksum));
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
    offset += RoundUpTar(entry.size);
  }
}

Result<Archive::File> Archive::OpenFile(const std::string& name) const {
  if (!bundle_) {
    const std::string path = path_ + "/" + name;
    File file{TRY(hostos::Open(path, O_RDONLY | O_NONBLOCK))};  // does not wait for a FIFO's writer
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
  bytes.resize(size);  // a file that became shorter meanwhile is not what was signed
  return bytes;
}

}  // namespace hostos

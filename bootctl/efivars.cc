#include "bootctl/efivars.h"

#include <cstring>
#include <filesystem>

#include "bootctl/little_endian.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr char kGlobalGuid[] = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
constexpr size_t kAttributes = 4;
constexpr size_t kMostBytes = 64 << 10;

void AppendUtf8(std::string& text, uint32_t c) {
  auto continuation = [&](int shift) { text += static_cast<char>(0x80 | (c >> shift & 0x3f)); };
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += static_cast<char>(0xc0 | c >> 6);
    continuation(0);
  } else if (c < 0x10000) {
    text += static_cast<char>(0xe0 | c >> 12);
    continuation(6);
    continuation(0);
  } else {
    text += static_cast<char>(0xf0 | c >> 18);
    continuation(12);
    continuation(6);
    continuation(0);
  }
}

// The text up to the first NUL; absent when it is not UTF-16.
std::optional<std::string> FromUtf16(std::span<const std::byte> bytes) {
  if (bytes.size() % 2 != 0) return std::nullopt;
  std::string text;
  auto unit = [&](size_t at) { return LittleEndian<uint16_t>(&bytes[at]); };
  for (size_t at = 0; at < bytes.size() && unit(at) != 0; at += 2) {
    uint32_t c = unit(at);
    if (c >= 0xd800 && c < 0xe000) {  // a surrogate: high, then low
      const bool paired = c < 0xdc00 && at + 3 < bytes.size() && (unit(at + 2) & 0xfc00) == 0xdc00;
      if (!paired) return std::nullopt;
      at += 2;
      c = 0x10000 + ((c & 0x3ff) << 10 | (unit(at) & 0x3ff));
    }
    AppendUtf8(text, c);
  }
  return text;
}

}  // namespace

Result<std::optional<std::string>> ReadLoaderVariable(const std::string& directory,
                                                      const std::string& name, const char* vendor) {
  const std::string path = std::format("{}/{}-{}", directory, name, vendor);
  Result<std::string> file = ReadFile(path, kMostBytes);
  if (!file && file.error().code == Code::kNotFound) return std::nullopt;
  if (!file) return std::unexpected(std::move(file).error());
  std::optional<std::string> text;
  if (file->size() >= kAttributes) text = FromUtf16(AsBytes(*file).subspan(kAttributes));
  if (!text)
    return Fail(Code::kFailed,
                "{}: expected 4 bytes of attributes and UTF-16LE text, found {} bytes", path,
                file->size());
  return text;
}

Result<bool> FirmwareNames(const std::string& directory, std::span<const std::byte> bytes) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (fs::directory_iterator file(directory, error), end; !error && file != end;
       file.increment(error)) {
    const std::string name = file->path().filename();
    const bool entry = name.size() == std::strlen("Boot0000-") + std::strlen(kGlobalGuid) &&
                       name.starts_with("Boot") && name.ends_with(kGlobalGuid) &&
                       name.find_first_not_of("0123456789ABCDEF", 4) == 8;
    if (!entry) continue;
    const std::string text = TRY(ReadFile(file->path(), kMostBytes));
    if (::memmem(text.data(), text.size(), bytes.data(), bytes.size())) return true;
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return FailErrno(directory, error.value());
  return false;
}

}  // namespace hostos

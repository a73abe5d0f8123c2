#include "images/sbom/cpio.h"

#include <sys/stat.h>

#include <charconv>
#include <optional>

namespace hostos {
namespace {

constexpr std::string_view kMagic = "070701";
constexpr uint64_t kHeader = 110, kMaxName = 4096;
constexpr size_t kMode = 1, kFileSize = 6, kNameSize = 11;

// A field of a header: eight hexadecimal digits.
std::optional<uint32_t> Field(std::string_view header, size_t index) {
  const std::string_view digits = header.substr(kMagic.size() + 8 * index, 8);
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value, 16);
  if (error != std::errc() || end != digits.end()) return std::nullopt;
  return value;
}

uint64_t Padded(uint64_t size) {
  return (size + 3) / 4 * 4;
}

struct Entry {
  uint64_t at = 0;  // of its header
  std::string_view name;
  uint32_t mode = 0;
  uint64_t content = 0, size = 0;
};

// Calls `entry` for each, up to what is no archive.
void ForEachEntry(std::string_view archive, auto entry) {
  for (uint64_t at = 0; at < archive.size();) {
    if (archive[at] == '\0') {  // between archives
      at++;
      continue;
    }
    const std::string_view header = archive.substr(at, kHeader);
    if (header.size() < kHeader || !header.starts_with(kMagic)) break;
    const auto mode = Field(header, kMode), size = Field(header, kFileSize),
               name_size = Field(header, kNameSize);
    if (!mode || !size || !name_size || *name_size == 0 || *name_size > kMaxName) break;
    const uint64_t content = Padded(at + kHeader + *name_size);
    if (content > archive.size() || *size > archive.size() - content) break;
    entry(Entry{at, archive.substr(at + kHeader, *name_size - 1), *mode, content, *size});
    at = Padded(content + *size);
  }
}

}  // namespace

uint64_t LastArchive(std::string_view archives) {
  uint64_t begin = 0;
  bool ended = false;
  ForEachEntry(archives, [&](const Entry& entry) {
    if (ended) begin = entry.at;
    ended = entry.name == "TRAILER!!!";
  });
  return begin;
}

std::vector<CpioFile> CpioFiles(std::string_view archive) {
  std::vector<CpioFile> files;
  ForEachEntry(archive, [&](const Entry& entry) {
    if (S_ISREG(entry.mode) && entry.size > 0)
      files.push_back({std::string(entry.name), entry.content, entry.size});
  });
  return files;
}

}  // namespace hostos

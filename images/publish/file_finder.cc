#include "images/publish/file_finder.h"

#include <algorithm>

namespace hostos {
namespace {

constexpr size_t kFirstBytes = 64;  // of an ELF file: its header, which tells files apart
constexpr uint64_t kLeastFile = 256;
constexpr uint64_t kAlignment = 4;

}  // namespace

Result<> FileFinder::Add(const std::string& name, uint64_t size) {
  if (size < kLeastFile) return {};
  std::string first(kFirstBytes, '\0');
  const UniqueFd file = TRY(open_(name));
  TRY(ReadFull(file.get(), std::as_writable_bytes(std::span(first))));
  files_[first].emplace_back(size, name);
  return {};
}

Result<bool> FileFinder::StandsAt(const std::string& name, std::string_view content) const {
  const UniqueFd file = TRY(open_(name));
  std::vector<std::byte> buffer(1 << 16);
  while (const size_t size = TRY(ReadFull(file.get(), buffer))) {
    if (!std::ranges::equal(std::span(buffer).first(size), AsBytes(content.substr(0, size))))
      return false;
    content.remove_prefix(size);
  }
  return true;
}

Result<std::vector<FileFinder::Found>> FileFinder::FindIn(std::string_view content) const {
  std::vector<Found> found;
  std::string first;
  for (uint64_t at = 0; at + kFirstBytes <= content.size();) {
    const std::string_view rest = content.substr(at);
    first = rest.substr(0, kFirstBytes);
    Found match{.offset = at, .size = 0, .name = {}};
    if (const auto files = files_.find(first); files != files_.end())
      for (const auto& [size, name] : files->second)
        if (size > match.size && size <= rest.size() && TRY(StandsAt(name, rest)))
          match = {at, size, name};
    if (match.size > 0) found.push_back(match);
    at += std::max(kAlignment, (match.size + kAlignment - 1) / kAlignment * kAlignment);
  }
  return found;
}

}  // namespace hostos

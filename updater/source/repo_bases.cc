#include "updater/source/repo_bases.h"

#include <algorithm>

namespace hostos {

Result<size_t> RepoBases::Read(ObjectType type, const Digest& base, uint64_t offset,
                               std::span<std::byte> into) {
  if (type == ObjectType::kFile) {
    if (base != open_ || !file_) file_ = TRY(repo_.OpenContent(base));
    open_ = base;
    return PreadFull(file_.get(), into, offset);
  }
  const std::string bytes = TRY(repo_.ReadMetadata(type, base));
  const std::string_view rest = std::string_view(bytes).substr(std::min(offset, bytes.size()));
  const size_t size = std::min(rest.size(), into.size());
  std::ranges::copy(AsBytes(rest.substr(0, size)), into.begin());
  return size;
}

}  // namespace hostos

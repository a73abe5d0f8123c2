#include "updater/seal/directory.h"

#include "updater/seal/erofs_format.h"

namespace hostos::erofs {

DirectoryFit FitDirectoryBlock(std::span<const Listing::Child> children) {
  DirectoryFit fit{};
  for (const Listing::Child& child : children) {
    size_t bytes = sizeof(DirectoryEntry) + child.name.size();
    if (fit.bytes + bytes > kBlock) break;
    fit.bytes += bytes;
    fit.children++;
  }
  return fit;
}

uint64_t DirectorySize(const Listing& listing) {
  uint64_t size = 0;
  for (std::span children(listing.children);;) {
    DirectoryFit fit = FitDirectoryBlock(children);
    children = children.subspan(fit.children);
    if (children.empty()) return size + fit.bytes;
    size += kBlock;
  }
}

}  // namespace hostos::erofs

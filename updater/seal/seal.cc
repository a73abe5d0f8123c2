#include "updater/seal/seal.h"

#include "updater/seal/image_stream.h"
#include "updater/seal/image_writer.h"
#include "updater/seal/inodes.h"
#include "updater/seal/layout.h"
#include "updater/seal/verity_format.h"

namespace hostos {
namespace {

SealSize SizeOf(const erofs::Layout& layout) {
  return {.image = uint64_t{layout.blocks} * verity::kBlock,
          .verity = verity::Geometry(layout.blocks).blocks * verity::kBlock};
}

}  // namespace

Result<SealSize> Measure(const Tree& tree) {
  const erofs::Inodes inodes = TRY(erofs::Inodes::Of(tree));
  return SizeOf(TRY(erofs::Layout::Of(inodes)));
}

Result<Sealed> Seal(const Tree& tree, ContentReader& content, int image_fd, int verity_fd,
                    const SealProgress& progress) {
  const erofs::Inodes inodes = TRY(erofs::Inodes::Of(tree));
  const erofs::Layout layout = TRY(erofs::Layout::Of(inodes));
  ImageStream stream(image_fd, verity_fd, layout.blocks, progress);
  TRY(erofs::WriteImage(inodes, layout, content, stream));
  return Sealed{.root_hash = TRY(stream.Finish()), .size = SizeOf(layout)};
}

}  // namespace hostos

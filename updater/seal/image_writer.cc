#include "updater/seal/image_writer.h"

#include <cstring>

#include "updater/seal/directory.h"
#include "updater/seal/erofs_format.h"
#include "updater/seal/xattrs.h"

namespace hostos::erofs {
namespace {

class ImageWriter {
 public:
  ImageWriter(const Inodes& inodes, const Layout& layout, ContentReader& content,
              ImageStream& stream)
      : inodes_(inodes), layout_(layout), content_(content), stream_(stream) {}

  Result<> Write() {
    TRY(WriteSuperblock());
    for (uint32_t i : layout_.by_nid) {
      TRY(stream_.PadTo(layout_.places[i].nid * kSlot));
      TRY(WriteInode(i));
      TRY(Append(XattrBody(inodes_.all()[i].metadata->xattrs)));
      if (layout_.places[i].tail > 0) TRY(WriteContent(i, /*tail=*/true));
    }
    for (uint32_t i : layout_.data) {
      TRY(stream_.PadTo(uint64_t{layout_.places[i].block} * kBlock));
      TRY(WriteContent(i, /*tail=*/false));
    }
    return stream_.PadTo(uint64_t{layout_.blocks} * kBlock);
  }

 private:
  Result<> Append(std::string_view bytes) { return stream_.Append(AsBytes(bytes)); }

  template <class T>
  Result<> AppendStruct(const T& value) {
    return stream_.Append(std::as_bytes(std::span(&value, 1)));
  }

  // Sets only what is not zero. No checksum: dm-verity covers every byte. No UUID and no name: two
  // slots may hold the same release. No time, and no feature that a kernel since 5.4 lacks.
  Result<> WriteSuperblock() {
    TRY(stream_.PadTo(kSuperblockOffset));
    return AppendStruct(Superblock{.root_nid = static_cast<uint16_t>(layout_.places[0].nid),
                                   .inodes = inodes_.all().size(),
                                   .blocks = layout_.blocks});
  }

  Result<> WriteInode(uint32_t i) {
    const Inode& inode = inodes_.all()[i];
    const Place& place = layout_.places[i];
    const Metadata& metadata = *inode.metadata;
    const auto layout_bits = place.tail > 0 ? kFlatInline : kFlatPlain;
    const size_t xattr_count =
        place.xattr_size > 0 ? (place.xattr_size - sizeof(XattrHeader)) / 4 + 1 : 0;
    if (place.extended)
      return AppendStruct(ExtendedInode{.format = static_cast<uint16_t>(layout_bits | kExtended),
                                        .xattr_count = static_cast<uint16_t>(xattr_count),
                                        .mode = static_cast<uint16_t>(metadata.mode),
                                        .size = inode.size,
                                        .block = place.block,
                                        .ino = i + 1,
                                        .uid = metadata.uid,
                                        .gid = metadata.gid,
                                        .nlink = inode.nlink});
    return AppendStruct(CompactInode{.format = layout_bits,
                                     .xattr_count = static_cast<uint16_t>(xattr_count),
                                     .mode = static_cast<uint16_t>(metadata.mode),
                                     .nlink = static_cast<uint16_t>(inode.nlink),
                                     .size = static_cast<uint32_t>(inode.size),
                                     .block = place.block,
                                     .ino = i + 1,
                                     .uid = static_cast<uint16_t>(metadata.uid),
                                     .gid = static_cast<uint16_t>(metadata.gid)});
  }

  // Writes either the part of the content right after the inode (`tail`), or the part in the data
  // area.
  Result<> WriteContent(uint32_t i, bool tail) {
    const Inode& inode = inodes_.all()[i];
    if (inode.is_directory()) return WriteDirectory(i, tail);
    if (inode.kind == Inode::Kind::kConfig) return Append(kStoreConfig);
    if (inode.kind == Inode::Kind::kMetadata)
      return Append(inodes_.tree().metadata[inode.index].bytes);
    const FileObject& file = inodes_.tree().files[inode.index];
    if (inode.is_link()) return Append(file.target);
    auto context = [&] {
      return std::format("{} (object {})", inodes_.PathOf(i), file.checksum.Hex());
    };
    TRY_CONTEXT(context(), WriteFile(file));
    return {};
  }

  Result<> WriteFile(const FileObject& file) {
    UniqueFd fd = TRY(content_.Open(file));
    TRY(stream_.AppendFrom(fd.get(), file.size));
    struct stat status;
    if (::fstat(fd.get(), &status) < 0) return FailErrno("fstat");
    if (static_cast<uint64_t>(status.st_size) != file.size)
      return Fail(Code::kFailed, "expected {} bytes, found {}", file.size, status.st_size);
    return {};
  }

  Result<> WriteDirectory(uint32_t i, bool tail) {
    const Listing listing = inodes_.List(i);
    const bool has_tail = layout_.places[i].tail > 0;
    for (std::span children(listing.children); !children.empty();) {
      DirectoryFit fit = FitDirectoryBlock(children);
      bool last = fit.children == children.size();
      if ((last && has_tail) == tail) TRY(WriteDirectoryBlock(children.first(fit.children), !last));
      children = children.subspan(fit.children);
    }
    return {};
  }

  Result<> WriteDirectoryBlock(std::span<const Listing::Child> children, bool whole) {
    std::array<std::byte, kBlock> block{};
    size_t entry_at = 0, name_at = children.size() * sizeof(DirectoryEntry);
    for (const Listing::Child& child : children) {
      const Inode& inode = inodes_.all()[child.inode];
      DirectoryEntry entry{.nid = layout_.places[child.inode].nid,
                           .name_offset = static_cast<uint16_t>(name_at),
                           .file_type = inode.is_directory() ? kTypeDirectory
                                        : inode.is_link()    ? kTypeLink
                                                             : kTypeRegular,
                           .reserved = 0};
      std::memcpy(&block[entry_at], &entry, sizeof entry);
      std::memcpy(&block[name_at], child.name.data(), child.name.size());
      entry_at += sizeof entry;
      name_at += child.name.size();
    }
    return stream_.Append(std::span(block).first(whole ? kBlock : name_at));
  }

  const Inodes& inodes_;
  const Layout& layout_;
  ContentReader& content_;
  ImageStream& stream_;
};

}  // namespace

Result<> WriteImage(const Inodes& inodes, const Layout& layout, ContentReader& content,
                    ImageStream& stream) {
  return ImageWriter(inodes, layout, content, stream).Write();
}

}  // namespace hostos::erofs

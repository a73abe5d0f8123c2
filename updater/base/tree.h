// The content of a release, as the sealer reads it: every directory, and every content object once,
// however many paths lead to it. Names, types and checksums are OSTree's (ostree-core, "Content
// objects", "dirtree", "dirmeta"). Two paths with equal content, owner, mode and xattrs are one
// object, and become one inode.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "updater/base/digest.h"
#include "updater/base/unique_fd.h"

namespace hostos {

struct Xattr {
  std::string name;   // with its namespace: "security.capability"
  std::string value;  // raw bytes
  auto operator<=>(const Xattr&) const = default;
};

struct Metadata {
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t mode = 0;          // st_mode, with the type bits
  std::vector<Xattr> xattrs;  // sorted by name, each name once
};

// One content object: a regular file or a symbolic link.
struct FileObject {
  Digest checksum;     // OSTree content checksum
  Metadata metadata;   // mode is S_IFREG|... or S_IFLNK|0777
  uint64_t size = 0;   // bytes of content; for a link, of its target
  std::string target;  // links only
};

struct TreeEntry {
  std::string name;  // 1 to 255 bytes, no '/', not "." or ".."
  bool is_directory = false;
  uint32_t index = 0;  // into Tree::directories or Tree::files
};

struct Directory {
  Metadata metadata;
  std::vector<TreeEntry> entries;  // files and directories together, sorted by name as bytes
};

// A dirtree or dirmeta object; the embedded object store gets its bytes unchanged.
struct MetadataObject {
  Digest checksum;
  bool is_dirtree = false;  // else dirmeta
  std::string bytes;        // the serialized GVariant; its SHA-256 is `checksum`
};

struct Tree {
  std::vector<Directory> directories;  // [0] is the root
  std::vector<FileObject> files;       // each checksum once
  // What the embedded object store holds besides the files: every dirmeta and every dirtree of the
  // tree, except the root's own dirtree and what is below /boot, because those depend on the seal.
  std::vector<MetadataObject> metadata;
  // Seal format 2: where in the image the content of files begins, hostos.layout of the signed
  // commit. Block numbers, one for each file that has blocks of its own, in the order of inodes.
  // Empty: format 1, one file behind the other.
  std::vector<uint32_t> starts;
};

// Opens the content of regular files.
class ContentReader {
 public:
  virtual ~ContentReader() = default;
  // A seekable descriptor at the start of the file's content.
  virtual Result<UniqueFd> Open(const FileObject& file) = 0;
};

}  // namespace hostos

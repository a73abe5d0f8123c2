// OSTree's dirtree, dirmeta and content objects (ostree-core) as bytes and checksums, without
// libostree. Parsing is strict because libostree is not: it accepts empty, repeated and unsorted
// names, and any number of xattrs.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/base/tree.h"

typedef struct _GVariant GVariant;

namespace hostos {

// Where a release's tree has its boot image (UKI). Nothing else may be in that directory.
inline constexpr std::string_view kBootDirectory = "boot";
inline constexpr std::string_view kUkiFile = "hostos.efi";

inline constexpr size_t kMaxMetadataBytes = 16 << 20;  // of a dirtree or dirmeta object
inline constexpr size_t kMaxNameBytes = 255;
inline constexpr size_t kMaxXattrs = 64;
inline constexpr size_t kMaxXattrBytes = 64 << 10;

struct DirtreeEntry {
  std::string name;
  bool is_directory = false;
  Digest checksum;  // of the content object, or of the directory's dirtree
  Digest dirmeta;   // directories only
};

// Files and directories together, sorted by name. kNotTrusted when malformed.
Result<std::vector<DirtreeEntry>> ParseDirtree(std::string_view bytes);
Result<Metadata> ParseDirmeta(std::string_view bytes);
// Xattrs in OSTree's form, a(ayay). The new variant is floating.
Result<std::vector<Xattr>> ReadXattrs(GVariant* array);
GVariant* NewXattrs(const std::vector<Xattr>& xattrs);
// `entries` are sorted by name.
std::string SerializeDirtree(const std::vector<DirtreeEntry>& entries);
std::string SerializeDirmeta(const Metadata& metadata);

// kNotTrusted for a name that no directory entry can have.
Result<> CheckName(std::string_view name);
// kNotTrusted when the mode is not `type` (S_IFDIR, ...) with permission bits, or when the xattrs
// are out of order or beyond the limits.
Result<> CheckMetadata(const Metadata& metadata, mode_t type);

// The state of a content checksum before the content itself. A symbolic link has no content.
Sha256 StartContentChecksum(const FileObject& file);

// The metadata of a file, link or directory on disk: owner, mode and every xattr.
Result<Metadata> ReadDiskMetadata(int directory, const std::string& name);
// A regular file or symbolic link on disk as a content object, with its checksum.
Result<FileObject> ReadDiskFile(int directory, const std::string& name);
// The same for a file of a bare-user repository (ostree-repo, "bare-user"). There, whoever fetched
// the file owns it: its owner, mode and xattrs are in the xattr user.ostreemeta, and a link's
// target is the file's content.
Result<FileObject> ReadStoredFile(const std::string& path);

}  // namespace hostos

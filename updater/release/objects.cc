#include "updater/release/objects.h"

#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <climits>

#include "updater/release/glib.h"

namespace hostos {
namespace {

constexpr char kDirtreeType[] = "(a(say)a(sayay))";
constexpr char kDirmetaType[] = "(uuua(ayay))";
constexpr char kFileHeaderType[] = "(uuuusa(ayay))";

// Copies the checksum in an `ay` child. False when its size is wrong.
bool CopyChecksum(GVariant* tuple, size_t index, Digest& digest) {
  auto bytes = VariantRef::Adopt(g_variant_get_child_value(tuple, index));
  std::string_view array = VariantArray(bytes.get());
  if (array.size() != digest.bytes.size()) return false;
  std::ranges::copy(array, digest.bytes.begin());
  return true;
}

GVariant* NewChecksum(const Digest& digest) {
  return NewByteArray({reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()});
}

// Appends one of the two arrays of a dirtree to `entries`.
Result<> ReadEntries(GVariant* array, bool directories, std::vector<DirtreeEntry>& entries) {
  for (size_t i = 0; i < g_variant_n_children(array); ++i) {
    auto tuple = VariantRef::Adopt(g_variant_get_child_value(array, i));
    DirtreeEntry entry{.name = {}, .is_directory = directories, .checksum = {}, .dirmeta = {}};
    const char* name = nullptr;
    g_variant_get_child(tuple.get(), 0, "&s", &name);
    entry.name = name;
    TRY(CheckName(entry.name));
    if (!CopyChecksum(tuple.get(), 1, entry.checksum) ||
        (directories && !CopyChecksum(tuple.get(), 2, entry.dirmeta))) {
      return Fail(Code::kNotTrusted, "entry '{}': expected checksums of 32 bytes", entry.name);
    }
    if (i > 0 && entries.back().name >= entry.name) {
      return Fail(Code::kNotTrusted, "expected names in order, each once; found '{}' after '{}'",
                  entry.name, entries.back().name);
    }
    entries.push_back(std::move(entry));
  }
  return {};
}

// "/proc/self/fd/N/name", for the xattr calls, which have no *at form here.
std::string ProcPath(int directory, const std::string& name) {
  return directory == AT_FDCWD ? name : std::format("/proc/self/fd/{}/{}", directory, name);
}

Result<std::vector<Xattr>> ReadDiskXattrs(int directory, const std::string& name) {
  std::string path = ProcPath(directory, name);
  std::array<char, kMaxXattrBytes> buffer;
  ssize_t size = ::llistxattr(path.c_str(), buffer.data(), buffer.size());
  if (size < 0 && errno != ENOTSUP) return FailErrno(name + ": listing xattrs");
  std::vector<Xattr> xattrs;
  for (std::string_view rest(buffer.data(), std::max<ssize_t>(size, 0)); !rest.empty();) {
    xattrs.push_back({.name = std::string(rest.substr(0, rest.find('\0'))), .value = {}});
    rest.remove_prefix(xattrs.back().name.size() + 1);
  }
  for (Xattr& xattr : xattrs) {
    size = ::lgetxattr(path.c_str(), xattr.name.c_str(), buffer.data(), buffer.size());
    if (size < 0) return FailErrno(name + ": reading xattr " + xattr.name);
    xattr.value.assign(buffer.data(), size);
  }
  // libostree does not see an xattr without a value, so commits do not have it.
  std::erase_if(xattrs, [](const Xattr& xattr) { return xattr.value.empty(); });
  std::ranges::sort(xattrs);
  return xattrs;
}

Result<struct stat> DiskStatus(int directory, const std::string& name) {
  struct stat status;
  if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) return FailErrno(name);
  return status;
}

Result<Metadata> DiskMetadata(int directory, const std::string& name, const struct stat& status) {
  std::vector<Xattr> xattrs = TRY(ReadDiskXattrs(directory, name));
  return Metadata{.uid = status.st_uid,
                  .gid = status.st_gid,
                  .mode = status.st_mode,
                  .xattrs = std::move(xattrs)};
}

// `content` is at the beginning of the content; `name` is for messages.
Result<Digest> HashContent(int content, const std::string& name, const FileObject& file) {
  Sha256 hash = StartContentChecksum(file);
  if (S_ISLNK(file.metadata.mode)) return hash.Finish();
  std::array<std::byte, 64 << 10> buffer;
  uint64_t total = 0;
  while (size_t count = TRY_CONTEXT(name, ReadFull(content, buffer))) {
    hash.Update(std::span(buffer).first(count));
    total += count;
  }
  if (total != file.size) {
    return Fail(Code::kFailed, "{}: changed while it was read: expected {} bytes, found {}", name,
                file.size, total);
  }
  return hash.Finish();
}

Result<Metadata> ParseMetadata(std::string_view bytes) {
  VariantRef variant = VariantFromBytes(kDirmetaType, bytes);
  if (!g_variant_is_normal_form(variant.get())) {
    return Fail(Code::kNotTrusted, "expected a dirmeta object, found {} bytes that are none",
                bytes.size());
  }
  Metadata metadata;
  GVariant* array = nullptr;
  g_variant_get(variant.get(), "(uuu@a(ayay))", &metadata.uid, &metadata.gid, &metadata.mode,
                &array);
  metadata.uid = GUINT32_FROM_BE(metadata.uid);
  metadata.gid = GUINT32_FROM_BE(metadata.gid);
  metadata.mode = GUINT32_FROM_BE(metadata.mode);
  metadata.xattrs = TRY(ReadXattrs(VariantRef::Adopt(array).get()));
  return metadata;
}

}  // namespace

Result<> CheckName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || name == "." || name == ".." ||
      name.contains('/') || name.contains('\0') ||
      !g_utf8_validate(name.data(), static_cast<gssize>(name.size()), nullptr)) {
    return Fail(Code::kNotTrusted, "expected a file name in UTF-8, found '{}'", name.substr(0, 80));
  }
  return {};
}

Result<> CheckMetadata(const Metadata& metadata, mode_t type) {
  if ((metadata.mode & ~mode_t{07777}) != type) {
    return Fail(Code::kNotTrusted, "expected file type {:o}, found mode {:o}", type, metadata.mode);
  }
  if (metadata.xattrs.size() > kMaxXattrs) {
    return Fail(Code::kNotTrusted, "expected at most {} xattrs, found {}", kMaxXattrs,
                metadata.xattrs.size());
  }
  const Xattr* last = nullptr;
  for (const Xattr& xattr : metadata.xattrs) {
    if (xattr.name.empty() || xattr.name.size() > kMaxNameBytes || xattr.name.contains('\0') ||
        xattr.value.size() > kMaxXattrBytes || (last && last->name >= xattr.name)) {
      return Fail(Code::kNotTrusted,
                  "xattr '{}': expected names in order, each once, and values of at most {} bytes",
                  xattr.name.substr(0, 80), kMaxXattrBytes);
    }
    last = &xattr;
  }
  return {};
}

Result<std::vector<DirtreeEntry>> ParseDirtree(std::string_view bytes) {
  VariantRef variant = VariantFromBytes(kDirtreeType, bytes);
  if (bytes.empty() || !g_variant_is_normal_form(variant.get())) {
    return Fail(Code::kNotTrusted, "expected a dirtree object, found {} bytes that are none",
                bytes.size());
  }
  auto files = VariantRef::Adopt(g_variant_get_child_value(variant.get(), 0));
  auto directories = VariantRef::Adopt(g_variant_get_child_value(variant.get(), 1));
  std::vector<DirtreeEntry> entries;
  TRY(ReadEntries(files.get(), false, entries));
  auto first_directory = static_cast<ptrdiff_t>(entries.size());
  TRY(ReadEntries(directories.get(), true, entries));
  std::ranges::inplace_merge(entries, entries.begin() + first_directory, {}, &DirtreeEntry::name);
  auto twice = std::ranges::adjacent_find(entries, {}, &DirtreeEntry::name);
  if (twice != entries.end()) {
    return Fail(Code::kNotTrusted, "'{}' is both a file and a directory", twice->name);
  }
  return entries;
}

Result<Metadata> ParseDirmeta(std::string_view bytes) {
  Metadata metadata = TRY(ParseMetadata(bytes));
  TRY(CheckMetadata(metadata, S_IFDIR));
  return metadata;
}

Result<std::vector<Xattr>> ReadXattrs(GVariant* array) {
  std::vector<Xattr> xattrs;
  for (size_t i = 0; i < g_variant_n_children(array); ++i) {
    auto pair = VariantRef::Adopt(g_variant_get_child_value(array, i));
    auto name = VariantRef::Adopt(g_variant_get_child_value(pair.get(), 0));
    auto value = VariantRef::Adopt(g_variant_get_child_value(pair.get(), 1));
    std::string_view text = VariantArray(name.get());
    if (!text.ends_with('\0')) {
      return Fail(Code::kNotTrusted, "xattr {}: expected a name that ends with NUL", i);
    }
    text.remove_suffix(1);
    xattrs.push_back({std::string(text), std::string(VariantArray(value.get()))});
  }
  return xattrs;
}

// OSTree stores xattr names with their closing NUL.
GVariant* NewXattrs(const std::vector<Xattr>& xattrs) {
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE("a(ayay)"));
  for (const Xattr& xattr : xattrs) {
    g_variant_builder_add(&builder, "(@ay@ay)",
                          NewByteArray({xattr.name.c_str(), xattr.name.size() + 1}),
                          NewByteArray(xattr.value));
  }
  return g_variant_builder_end(&builder);
}

std::string SerializeDirtree(const std::vector<DirtreeEntry>& entries) {
  GVariantBuilder files, directories;
  g_variant_builder_init(&files, G_VARIANT_TYPE("a(say)"));
  g_variant_builder_init(&directories, G_VARIANT_TYPE("a(sayay)"));
  for (const DirtreeEntry& entry : entries) {
    if (entry.is_directory) {
      g_variant_builder_add(&directories, "(s@ay@ay)", entry.name.c_str(),
                            NewChecksum(entry.checksum), NewChecksum(entry.dirmeta));
    } else {
      g_variant_builder_add(&files, "(s@ay)", entry.name.c_str(), NewChecksum(entry.checksum));
    }
  }
  auto variant = VariantRef::Retain(g_variant_new(
      "(@a(say)@a(sayay))", g_variant_builder_end(&files), g_variant_builder_end(&directories)));
  return std::string(VariantBytes(variant.get()));
}

std::string SerializeDirmeta(const Metadata& metadata) {
  auto variant = VariantRef::Retain(
      g_variant_new("(uuu@a(ayay))", GUINT32_TO_BE(metadata.uid), GUINT32_TO_BE(metadata.gid),
                    GUINT32_TO_BE(metadata.mode), NewXattrs(metadata.xattrs)));
  return std::string(VariantBytes(variant.get()));
}

Sha256 StartContentChecksum(const FileObject& file) {
  const Metadata& metadata = file.metadata;
  constexpr uint32_t kDevice = 0;
  auto header = VariantRef::Retain(g_variant_new(
      "(uuuus@a(ayay))", GUINT32_TO_BE(metadata.uid), GUINT32_TO_BE(metadata.gid),
      GUINT32_TO_BE(metadata.mode), kDevice, file.target.c_str(), NewXattrs(metadata.xattrs)));
  // The size of the header (big-endian), padding to eight bytes, the header, then the content.
  std::array<uint32_t, 2> prefix{
      GUINT32_TO_BE(static_cast<uint32_t>(g_variant_get_size(header.get()))), 0};
  Sha256 hash;
  hash.Update(std::as_bytes(std::span(prefix)));
  hash.Update(AsBytes(VariantBytes(header.get())));
  return hash;
}

Result<Metadata> ReadDiskMetadata(int directory, const std::string& name) {
  return DiskMetadata(directory, name, TRY(DiskStatus(directory, name)));
}

Result<FileObject> ReadDiskFile(int directory, const std::string& name) {
  struct stat status = TRY(DiskStatus(directory, name));
  FileObject file;
  file.metadata = TRY(DiskMetadata(directory, name, status));
  if (S_ISLNK(file.metadata.mode)) {
    std::array<char, PATH_MAX> target;
    ssize_t size = ::readlinkat(directory, name.c_str(), target.data(), target.size());
    if (size < 0) return FailErrno(name);
    file.target.assign(target.data(), size);
    file.size = file.target.size();
  } else if (S_ISREG(file.metadata.mode)) {
    file.size = static_cast<uint64_t>(status.st_size);
  } else {
    return Fail(Code::kNotSupported,
                "{}: expected a regular file, directory or symbolic link, found mode {:o}", name,
                file.metadata.mode);
  }
  UniqueFd content;
  if (file.target.empty()) content = TRY(OpenAt(directory, name, O_RDONLY | O_NOFOLLOW));
  file.checksum = TRY(HashContent(content.get(), name, file));
  return file;
}

Result<FileObject> ReadStoredFile(const std::string& path) {
  const UniqueFd content = TRY(Open(path, O_RDONLY | O_NOFOLLOW));
  std::array<char, kMaxXattrBytes> buffer;
  const ssize_t size = ::fgetxattr(content.get(), "user.ostreemeta", buffer.data(), buffer.size());
  if (size < 0) return FailErrno(path + ": reading xattr user.ostreemeta");
  FileObject file;
  file.metadata = TRY_CONTEXT(path, ParseMetadata({buffer.data(), static_cast<size_t>(size)}));
  struct stat status;
  if (::fstat(content.get(), &status) < 0) return FailErrno(path);
  file.size = static_cast<uint64_t>(status.st_size);
  if (S_ISLNK(file.metadata.mode)) file.target = TRY(ReadFile(path, PATH_MAX));
  file.checksum = TRY(HashContent(content.get(), path, file));
  return file;
}

}  // namespace hostos

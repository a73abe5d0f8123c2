#include "updater/source/repo.h"

#include <gio/gfiledescriptorbased.h>
#include <gio/gunixinputstream.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "updater/base/atomic_file.h"
#include "updater/release/commit.h"
#include "updater/release/glib.h"
#include "updater/release/objects.h"
#include "updater/source/ostree_calls.h"

namespace hostos {

bool IsArchive(OstreeRepo* repo) {
  return ostree_repo_get_mode(repo) == OSTREE_REPO_MODE_ARCHIVE;
}

Result<UniqueFd> Unpack(GInputStream* input) {
  std::error_code no_directory;
  std::string directory = std::filesystem::temp_directory_path(no_directory);
  UniqueFd file = TRY(Open(directory, O_TMPFILE | O_RDWR, 0600));
  std::array<std::byte, 64 << 10> buffer;
  for (;;) {
    GErrorOut error;
    gssize size = g_input_stream_read(input, buffer.data(), buffer.size(), nullptr, error);
    if (size < 0) return error.Fail("unpacking");
    if (size == 0) break;
    TRY_CONTEXT(directory,
                WriteFull(file.get(), std::span(buffer).first(static_cast<size_t>(size))));
  }
  if (::lseek(file.get(), 0, SEEK_SET) < 0) return FailErrno(directory);
  return file;
}

Result<FileObject> ToFileObject(const Digest& checksum, GFileInfo* info, GVariant* xattrs) {
  FileObject file;
  file.checksum = checksum;
  file.metadata.uid = g_file_info_get_attribute_uint32(info, "unix::uid");
  file.metadata.gid = g_file_info_get_attribute_uint32(info, "unix::gid");
  file.metadata.mode = g_file_info_get_attribute_uint32(info, "unix::mode");
  file.metadata.xattrs = TRY(ReadXattrs(xattrs));
  if (S_ISLNK(file.metadata.mode)) {
    // In a damaged header libostree finds no target, and reports no error.
    const char* target = g_file_info_get_attribute_byte_string(info, "standard::symlink-target");
    if (!target) return Fail(Code::kNotTrusted, "a symbolic link without a target");
    file.target = target;
    file.size = file.target.size();
  } else if (S_ISREG(file.metadata.mode)) {
    file.size = static_cast<uint64_t>(g_file_info_get_size(info));
  } else {
    return Fail(Code::kNotTrusted, "expected a regular file or link, found mode {:o}",
                file.metadata.mode);
  }
  return file;
}

namespace {

Result<std::shared_ptr<OstreeRepo>> OpenRepo(const std::string& path) {
  GErrorOut error;
  OstreeRepo* repo = ostree_repo_open_at(AT_FDCWD, path.c_str(), nullptr, error);
  if (!repo && error.Is(G_IO_ERROR_NOT_FOUND))
    return Fail(Code::kNotFound, "{}: expected an OSTree repository, found none", path);
  if (!repo) return error.Fail(path + ": opening the OSTree repository");
  return std::shared_ptr<OstreeRepo>(repo, [](OstreeRepo* opened) { g_object_unref(opened); });
}

// libostree trusts the files of an archive repository. That may be somebody else's mirror, so here
// they are read like what comes from the network.
bool LoadFile(OstreeRepo* repo, const Digest& checksum, GInputStream** input, GFileInfo** info,
              GVariant** xattrs, GError** error) {
  if (!IsArchive(repo))
    return ostree_repo_load_file(repo, checksum.Hex().c_str(), input, info, xattrs, nullptr, error);
  auto file = GRef<GFile>::Adopt(g_file_resolve_relative_path(
      ostree_repo_get_path(repo), ObjectPath(checksum, "filez").c_str()));
  return ostree_content_file_parse(/*compressed=*/TRUE, file.get(), /*trusted=*/FALSE, input, info,
                                   xattrs, nullptr, error);
}

// libostree checks the checksum only if the caller asks for the one that it found.
Result<> WriteObject(OstreeRepo* repo, const Digest& checksum, GInputStream* object, guint64 length,
                     guchar** found) {
  GErrorOut error;
  if (!ostree_repo_write_content(repo, checksum.Hex().c_str(), object, length, found, nullptr,
                                 error))
    return error.Fail("writing file object " + checksum.Hex());
  return {};
}

// Done here for what is at hand: libostree's own hash takes six times as long.
Result<> CheckContent(const Digest& checksum, const Digest& found) {
  if (found == checksum) return {};
  return Fail(Code::kNotTrusted, "file object: expected SHA-256 {}, found {}", checksum.Hex(),
              found.Hex());
}

}  // namespace

Result<Repo> Repo::Open(const std::string& path) {
  return Repo(path, TRY(OpenRepo(path)));
}

Result<Repo> Repo::CreateArchive(const std::string& path) {
  TRY(MakeDirectories(path));
  GErrorOut error;
  auto repo = GRef<OstreeRepo>::Adopt(ostree_repo_create_at(
      AT_FDCWD, path.c_str(), OSTREE_REPO_MODE_ARCHIVE, nullptr, nullptr, error));
  if (!repo) return error.Fail(path + ": making an OSTree repository");
  if (!IsArchive(repo.get())) {
    return Fail(Code::kUsage, "{}: expected an OSTree repository of mode archive, found another",
                path);
  }
  return Open(path);
}

Result<Repo> Repo::OpenStaging(const std::string& path, const std::string& parent,
                               const std::string& proxy) {
  // After a power cut any part may be missing, so no part is a sign of another.
  TRY(MakeDirectories(path, 0700));
  for (const char* part : {"objects", "tmp", "state", "refs/heads", "refs/remotes", "extensions"}) {
    TRY(MakeDirectories(path + "/" + part));
  }
  std::string config = std::format(
      "[core]\nrepo_version=1\nmode=bare-user\nmin-free-space-percent=0\n{}\n"
      "[remote \"{}\"]\nurl=https://localhost/\ngpg-verify=false\n{}",
      parent.empty() ? "" : "parent=" + parent + "\n", kRemote,
      proxy.empty() ? "" : "proxy=" + proxy + "\n");
  auto found = ReadFile(path + "/config");
  if (!found || *found != config) TRY(WriteFileAtomically(path + "/config", config));
  return Open(path);
}

Result<Repo::Transaction> Repo::Transaction::Begin(const Repo& repo) {
  GErrorOut error;
  if (!ostree_repo_prepare_transaction(repo.repo_.get(), nullptr, nullptr, error)) {
    return error.Fail(repo.path_ + ": beginning a transaction");
  }
  return Transaction(repo.repo_);
}

Repo::Transaction::~Transaction() {
  // Nothing of it is visible, so it does no harm if this fails.
  if (repo_) (void)ostree_repo_abort_transaction(repo_.get(), nullptr, nullptr);
}

Result<> Repo::Transaction::WriteMetadata(ObjectType type, const Digest& checksum,
                                          std::string_view bytes) {
  const char* format = type == ObjectType::kCommit    ? OSTREE_COMMIT_GVARIANT_STRING
                       : type == ObjectType::kDirtree ? OSTREE_TREE_GVARIANT_STRING
                                                      : OSTREE_DIRMETA_GVARIANT_STRING;
  GErrorOut error;
  if (!ostree_repo_write_metadata(repo_.get(), ToOstree(type), checksum.Hex().c_str(),
                                  VariantFromBytes(format, bytes).get(), nullptr, nullptr, error)) {
    return error.Fail(std::format("writing {} {}", Extension(type), checksum.Hex()));
  }
  return {};
}

Result<> Repo::Transaction::WriteFile(const FileObject& file, int content) {
  auto info = GRef<GFileInfo>::Adopt(g_file_info_new());
  bool is_link = S_ISLNK(file.metadata.mode);
  g_file_info_set_file_type(info.get(), is_link ? G_FILE_TYPE_SYMBOLIC_LINK : G_FILE_TYPE_REGULAR);
  g_file_info_set_attribute_uint32(info.get(), "unix::uid", file.metadata.uid);
  g_file_info_set_attribute_uint32(info.get(), "unix::gid", file.metadata.gid);
  g_file_info_set_attribute_uint32(info.get(), "unix::mode", file.metadata.mode);
  GRef<GInputStream> input;
  if (is_link) {
    g_file_info_set_symlink_target(info.get(), file.target.c_str());
  } else {
    g_file_info_set_size(info.get(), static_cast<goffset>(file.size));
    input = GRef<GInputStream>::Adopt(g_unix_input_stream_new(content, /*close_fd=*/FALSE));
  }
  auto xattrs = VariantRef::Retain(NewXattrs(file.metadata.xattrs));
  GRef<GInputStream> object;
  guint64 length = 0;
  GErrorOut error;
  if (!ostree_raw_file_to_content_stream(input.get(), info.get(), xattrs.get(), object.Out(),
                                         &length, nullptr, error))
    return error.Fail("writing file object " + file.checksum.Hex());
  guchar* found = nullptr;
  Result<> written = WriteObject(repo_.get(), file.checksum, object.get(), length, &found);
  g_free(found);
  return written;
}

Result<> Repo::Transaction::WriteContent(const Digest& checksum, std::string_view bytes) {
  TRY(CheckContent(checksum, Sha256::Of(AsBytes(bytes))));
  auto object = GRef<GInputStream>::Adopt(g_memory_input_stream_new_from_data(
      bytes.data(), static_cast<gssize>(bytes.size()), /*destroy=*/nullptr));
  return WriteObject(repo_.get(), checksum, object.get(), bytes.size(), nullptr);
}

Result<> Repo::Transaction::WriteContent(const Digest& checksum, int file, uint64_t size) {
  const Digest found = TRY(HashFile(file, size));
  TRY(CheckContent(checksum, found));
  // Behind a buffer libostree sees no file, which it would clone as a whole, header and all.
  auto bytes = GRef<GInputStream>::Adopt(g_unix_input_stream_new(file, /*close_fd=*/FALSE));
  auto object =
      GRef<GInputStream>::Adopt(g_buffered_input_stream_new_sized(bytes.get(), 256 << 10));
  return WriteObject(repo_.get(), checksum, object.get(), size, nullptr);
}

void Repo::Transaction::SetRef(const std::string& ref, const Digest& commit) {
  ostree_repo_transaction_set_ref(repo_.get(), nullptr, ref.c_str(), commit.Hex().c_str());
}

void Repo::Transaction::RemoveRef(const std::string& ref) {
  ostree_repo_transaction_set_ref(repo_.get(), nullptr, ref.c_str(), nullptr);
}

Result<> Repo::Transaction::Commit() {
  GErrorOut error;
  if (!ostree_repo_commit_transaction(repo_.get(), nullptr, nullptr, error)) {
    return error.Fail("committing a transaction");
  }
  repo_ = nullptr;
  return {};
}

Result<> Repo::WriteDetachedMetadata(const Digest& commit, std::string_view detached) {
  GErrorOut error;
  if (!ostree_repo_write_commit_detached_metadata(repo_.get(), commit.Hex().c_str(),
                                                  VariantFromBytes("a{sv}", detached).get(),
                                                  nullptr, error)) {
    return error.Fail(std::format("{}: signatures of commit {}", path_, commit.Hex()));
  }
  return {};
}

Result<Digest> Repo::ResolveRef(const std::string& ref) const {
  GErrorOut error;
  char* text = nullptr;
  if (!ostree_repo_resolve_rev(repo_.get(), ref.c_str(), /*allow_noent=*/TRUE, &text, error)) {
    return error.Fail(std::format("{}: ref {}", path_, ref));
  }
  if (!text) return Fail(Code::kNotFound, "{}: no ref {}", path_, ref);
  auto digest = Digest::FromHex(text);
  g_free(text);
  return digest;
}

Result<std::string> Repo::ReadMetadata(ObjectType type, const Digest& checksum) const {
  GErrorOut error;
  VariantRef variant;
  auto where = [&] { return std::format("{}: {} {}", path_, Extension(type), checksum.Hex()); };
  if (!ostree_repo_load_variant(repo_.get(), ToOstree(type), checksum.Hex().c_str(), variant.Out(),
                                error)) {
    return error.Fail(where());
  }
  std::string_view bytes = VariantBytes(variant.get());
  if (bytes.size() > kMaxMetadataBytes) {
    return Fail(Code::kNotSupported, "{}: expected at most {} bytes, found {}", where(),
                kMaxMetadataBytes, bytes.size());
  }
  if (Digest found = Sha256::Of(AsBytes(bytes)); found != checksum) {
    return Fail(Code::kNotTrusted, "{}: found content with SHA-256 {}", where(), found.Hex());
  }
  return std::string(bytes);
}

Result<Commit> Repo::ReadCommit(const Digest& checksum) const {
  const std::string bytes = TRY(ReadMetadata(ObjectType::kCommit, checksum));
  return ParseCommit(bytes);
}

Result<std::string> Repo::ReadDetachedMetadata(const Digest& commit) const {
  GErrorOut error;
  VariantRef variant;
  if (!ostree_repo_read_commit_detached_metadata(repo_.get(), commit.Hex().c_str(), variant.Out(),
                                                 nullptr, error)) {
    return error.Fail(std::format("{}: signatures of commit {}", path_, commit.Hex()));
  }
  return variant ? std::string(VariantBytes(variant.get())) : std::string();
}

Result<FileObject> Repo::ReadFileHeader(const Digest& checksum) const {
  GErrorOut error;
  GRef<GFileInfo> info;
  VariantRef xattrs;
  auto where = [&] { return std::format("{}: file object {}", path_, checksum.Hex()); };
  if (!LoadFile(repo_.get(), checksum, nullptr, info.Out(), xattrs.Out(), error))
    return error.Fail(where());
  return TRY_CONTEXT(where(), ToFileObject(checksum, info.get(), xattrs.get()));
}

Result<UniqueFd> Repo::OpenContent(const Digest& checksum) const {
  GErrorOut error;
  GRef<GInputStream> input;
  auto where = [&] { return std::format("{}: file object {}", path_, checksum.Hex()); };
  if (!LoadFile(repo_.get(), checksum, input.Out(), nullptr, nullptr, error))
    return error.Fail(where());
  if (!input) return Fail(Code::kFailed, "{}: a symbolic link has no content to open", where());
  if (!G_IS_FILE_DESCRIPTOR_BASED(input.get())) return TRY_CONTEXT(where(), Unpack(input.get()));
  UniqueFd file(::fcntl(g_file_descriptor_based_get_fd(G_FILE_DESCRIPTOR_BASED(input.get())),
                        F_DUPFD_CLOEXEC, 0));
  if (!file) return FailErrno(where());
  return file;
}

Result<std::string> Repo::ReadContent(const Digest& checksum, uint64_t cap) const {
  auto where = [&] { return std::format("{}: file object {}", path_, checksum.Hex()); };
  GErrorOut error;
  GRef<GInputStream> object;
  guint64 size = 0;
  if (!ostree_repo_load_object_stream(repo_.get(), OSTREE_OBJECT_TYPE_FILE, checksum.Hex().c_str(),
                                      object.Out(), &size, nullptr, error))
    return error.Fail(where());
  if (size > cap)
    return Fail(Code::kNotSupported, "{}: expected at most {} bytes, found {}", where(), cap, size);
  std::string bytes(size, '\0');
  gsize read = 0;
  if (!g_input_stream_read_all(object.get(), bytes.data(), size, &read, nullptr, error))
    return error.Fail(where());
  bytes.resize(read);
  return bytes;
}

Result<uint64_t> Repo::StoredSize(ObjectType type, const Digest& checksum) const {
  GErrorOut error;
  guint64 size = 0;
  if (!ostree_repo_query_object_storage_size(repo_.get(), ToOstree(type), checksum.Hex().c_str(),
                                             &size, nullptr, error)) {
    return error.Fail(std::format("{}: {} {}", path_, Extension(type), checksum.Hex()));
  }
  return size;
}

Result<bool> Repo::Has(ObjectType type, const Digest& checksum) const {
  GErrorOut error;
  gboolean found = FALSE;
  if (!ostree_repo_has_object(repo_.get(), ToOstree(type), checksum.Hex().c_str(), &found, nullptr,
                              error)) {
    return error.Fail(path_);
  }
  return found != FALSE;
}

}  // namespace hostos

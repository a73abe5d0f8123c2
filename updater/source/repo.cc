#include "updater/source/repo.h"

#include <gio/gfiledescriptorbased.h>
#include <gio/gunixinputstream.h>
#include <ostree.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "updater/base/atomic_file.h"
#include "updater/base/no_space.h"
#include "updater/base/space.h"
#include "updater/source/glib.h"
#include "updater/source/objects.h"
#include "updater/source/pull_watch.h"
#include "updater/source/staging.h"

namespace hostos {
namespace {

constexpr char kRemote[] = "hostos";
constexpr Seconds kSalvageTime{600};  // a disk may take seconds to say that it can't read a block

// The out parameter of a GLib call, and its end as our Error.
class GErrorOut {
 public:
  GErrorOut() = default;
  GErrorOut(const GErrorOut&) = delete;
  GErrorOut& operator=(const GErrorOut&) = delete;
  ~GErrorOut() { g_clear_error(&error_); }
  operator GError**() { return &error_; }

  bool Is(GIOErrorEnum code) const { return g_error_matches(error_, G_IO_ERROR, code); }
  const char* message() const { return error_ ? error_->message : "unknown error"; }
  std::unexpected<Error> Fail(std::string_view what) const {
    return hostos::Fail(code(), "{}: {}", what, message());
  }
  // What our callers branch on. libostree says of most things only that they failed, so its words
  // have to tell what is wrong with an object.
  Code code() const {
    const std::string_view words = message();
    if (Is(G_IO_ERROR_NOT_FOUND)) return Code::kNotFound;
    if (Is(G_IO_ERROR_NO_SPACE) || words.contains("min-free-space") || SaysNoSpace(words))
      return Code::kNoSpace;
    if (words.contains("Corrupted") || words.contains("Parsing") ||
        words.contains("File too large") || Is(G_IO_ERROR_PARTIAL_INPUT) ||
        Is(G_IO_ERROR_INVALID_DATA))
      return Code::kNotTrusted;
    return Code::kFailed;
  }

 private:
  GError* error_ = nullptr;
};

OstreeObjectType ToOstree(ObjectType type) {
  return static_cast<OstreeObjectType>(type);
}

const char* Extension(ObjectType type) {
  return ostree_object_type_to_string(ToOstree(type));
}

Result<std::shared_ptr<OstreeRepo>> OpenRepo(const std::string& path) {
  GErrorOut error;
  OstreeRepo* repo = ostree_repo_open_at(AT_FDCWD, path.c_str(), nullptr, error);
  if (!repo && error.Is(G_IO_ERROR_NOT_FOUND))
    return Fail(Code::kNotFound, "{}: expected an OSTree repository, found none", path);
  if (!repo) return error.Fail(path + ": opening the OSTree repository");
  return std::shared_ptr<OstreeRepo>(repo, [](OstreeRepo* opened) { g_object_unref(opened); });
}

bool IsArchive(OstreeRepo* repo) {
  return ostree_repo_get_mode(repo) == OSTREE_REPO_MODE_ARCHIVE;
}

// Copies what a decompressor gives into an unnamed file that can seek.
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

VariantRef PullOptions(const std::string& url, const std::string& checksum, bool is_mirror,
                       const HttpOptions& http) {
  GVariantDict options;
  g_variant_dict_init(&options, nullptr);
  const char* refs[] = {checksum.c_str()};
  g_variant_dict_insert_value(&options, "refs", g_variant_new_strv(refs, 1));
  if (!http.token.empty()) {  // curl keeps it from other servers that this one leads to
    const std::string bearer = "Bearer " + http.token;
    GVariant* header = g_variant_new("(ss)", "Authorization", bearer.c_str());
    g_variant_dict_insert_value(&options, "http-headers", g_variant_new_array(nullptr, &header, 1));
  }
  g_variant_dict_insert(&options, "override-url", "s",
                        (url.starts_with('/') ? "file://" + url : url).c_str());
  g_variant_dict_insert(&options, "flags", "i",
                        is_mirror ? OSTREE_REPO_PULL_FLAGS_MIRROR : OSTREE_REPO_PULL_FLAGS_NONE);
  g_variant_dict_insert(&options, "append-user-agent", "s", "HostOS/" HOSTOS_VERSION);
  g_variant_dict_insert(&options, "disable-static-deltas", "b", TRUE);
  // The commit was verified before it got here, and everything else is named by its checksum.
  g_variant_dict_insert(&options, "gpg-verify", "b", FALSE);
  g_variant_dict_insert(&options, "gpg-verify-summary", "b", FALSE);
  g_variant_dict_insert(&options, "disable-verify-bindings", "b", TRUE);
  g_variant_dict_insert(&options, "n-network-retries", "u", static_cast<guint>(http.attempts - 1));
  g_variant_dict_insert(&options, "low-speed-time-seconds", "u",
                        static_cast<guint>(http.stall_timeout.count()));
  return VariantRef::Retain(g_variant_dict_end(&options));
}

// Pulls need a remote by name, whose URL is always overridden.
Result<> AddRemote(OstreeRepo* repo) {
  GErrorOut error;
  if (!ostree_repo_remote_change(repo, nullptr, OSTREE_REPO_REMOTE_CHANGE_ADD_IF_NOT_EXISTS,
                                 kRemote, "https://localhost/", nullptr, nullptr, error))
    return error.Fail("adding a remote");
  return {};
}

// The server's faults are told from those of what it served.
std::unexpected<Error> PullFailure(const GErrorOut& error, const std::string& url) {
  const std::string_view message = error.message();
  const bool network = message.contains("While fetching") || message.contains("HTTP ");
  const Code code = error.code();
  return Fail(network && code != Code::kNoSpace ? Code::kNetwork : code, "{}: {}", url, message);
}

// libostree believes what stands in the files of an archive repository. Somebody else's mirror may
// be one, so here they are read as what came from the network is.
bool LoadFile(OstreeRepo* repo, const Digest& checksum, GInputStream** input, GFileInfo** info,
              GVariant** xattrs, GError** error) {
  if (!IsArchive(repo))
    return ostree_repo_load_file(repo, checksum.Hex().c_str(), input, info, xattrs, nullptr, error);
  auto file = GRef<GFile>::Adopt(g_file_resolve_relative_path(
      ostree_repo_get_path(repo), ObjectPath(checksum, "filez").c_str()));
  return ostree_content_file_parse(/*compressed=*/TRUE, file.get(), /*trusted=*/FALSE, input, info,
                                   xattrs, nullptr, error);
}

// A content object without its content, as libostree gives it.
Result<FileObject> ToFileObject(const Digest& checksum, GFileInfo* info, GVariant* xattrs) {
  FileObject file;
  file.checksum = checksum;
  file.metadata.uid = g_file_info_get_attribute_uint32(info, "unix::uid");
  file.metadata.gid = g_file_info_get_attribute_uint32(info, "unix::gid");
  file.metadata.mode = g_file_info_get_attribute_uint32(info, "unix::mode");
  file.metadata.xattrs = TRY(ReadXattrs(xattrs));
  if (S_ISLNK(file.metadata.mode)) {
    // libostree finds no target, and no error, in a damaged header.
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

// What an archive has in place of an object is wrong, in whatever way.
template <class T>
Result<T> Damaged(Result<T> read) {
  if (!read && read.error().code == Code::kFailed) read.error().code = Code::kNotTrusted;
  return read;
}

struct Content {
  FileObject file;
  UniqueFd bytes;  // none of a link
};

// Believed no more than in LoadFile.
Result<Content> ReadContent(const Archive::File& stored, const Digest& checksum) {
  auto stream = GRef<GInputStream>::Adopt(g_unix_input_stream_new(stored.fd.get(), FALSE));
  GRef<GInputStream> input;
  GRef<GFileInfo> info;
  VariantRef xattrs;
  GErrorOut error;
  if (!ostree_content_stream_parse(/*compressed=*/TRUE, stream.get(), stored.size,
                                   /*trusted=*/FALSE, input.Out(), info.Out(), xattrs.Out(),
                                   nullptr, error))
    return error.Fail("parsing");
  Content content{TRY(ToFileObject(checksum, info.get(), xattrs.get())), {}};
  if (S_ISREG(content.file.metadata.mode)) content.bytes = TRY(Unpack(input.get()));
  return content;
}

// Written with its checksum, so that it is what was named or it is refused.
Result<> CopyObject(Archive& from, const ObjectSize& object, Repo::Transaction& to) {
  const std::string name = ObjectPath(object);
  if (object.type != ObjectType::kFile)
    return to.WriteMetadata(object.type, object.checksum,
                            TRY(Damaged(from.Fetch(name, kMaxMetadataBytes))));
  const Archive::File stored = TRY(from.OpenFile(name));
  const Content content = TRY_CONTEXT(name, Damaged(ReadContent(stored, object.checksum)));
  return to.WriteFile(content.file, content.bytes.get());
}

// The same from a bare repository, whose files are what the objects say.
Result<> SalvageObject(int from, const ObjectSize& object, Repo::Transaction& to) {
  const std::string name = ObjectPath(object.checksum, Extension(object.type));
  struct stat status;
  if (::fstatat(from, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) return FailErrno(name);
  const bool is_link = S_ISLNK(status.st_mode) && object.type == ObjectType::kFile;
  const auto size = static_cast<uint64_t>(status.st_size);
  if (!is_link && (!S_ISREG(status.st_mode) || size > std::max(object.unpacked, kBlockBytes)))
    return Fail(Code::kNotTrusted, "{}: expected at most {} bytes, found {}, mode {:o}", name,
                object.unpacked, size, status.st_mode);
  UniqueFd content;
  if (!is_link) content = TRY(OpenAt(from, name, O_RDONLY | O_NOFOLLOW));
  if (object.type == ObjectType::kFile) {
    const FileObject file = TRY(ReadDiskFile(from, name));
    if (file.checksum != object.checksum)
      return Fail(Code::kNotTrusted, "{}: found {}", name, file.checksum.Hex());
    return to.WriteFile(file, content.get());
  }
  std::string bytes(size, '\0');
  TRY(ReadFull(content.get(), std::as_writable_bytes(std::span(bytes))));
  if (Sha256::Of(AsBytes(bytes)) != object.checksum)
    return Fail(Code::kNotTrusted, "{}: is not what it is named after", name);
  return to.WriteMetadata(object.type, object.checksum, bytes);
}

// libostree compares an object with its checksum only when it is asked for the one it found.
Result<> WriteObject(OstreeRepo* repo, const Digest& checksum, GInputStream* object,
                     guint64 length) {
  GErrorOut error;
  guchar* found = nullptr;
  const bool written = ostree_repo_write_content(repo, checksum.Hex().c_str(), object, length,
                                                 &found, nullptr, error);
  g_free(found);
  if (!written) return error.Fail("writing file object " + checksum.Hex());
  return {};
}

ObjectNames Wanted(const Commit& commit) {
  ObjectNames wanted{{commit.release.commit, ObjectType::kCommit}};
  for (const ObjectSize& object : commit.sizes) wanted.insert({object.checksum, object.type});
  return wanted;
}

// A pull under its watch. libostree runs it in the thread's default main context, which is one of
// our own while this lives, with a timer in it.
class PullContext {
 public:
  explicit PullContext(PullWatch& watch) : watch_(watch) {
    g_main_context_push_thread_default(context_);
    GSource* timer = g_timeout_source_new(100);  // milliseconds
    g_source_set_callback(timer, &PullContext::Tick, this, nullptr);
    g_source_attach(timer, context_);
    g_source_unref(timer);
  }
  PullContext(const PullContext&) = delete;
  PullContext& operator=(const PullContext&) = delete;
  ~PullContext() {
    g_main_context_pop_thread_default(context_);
    g_main_context_unref(context_);
  }

  GCancellable* cancellable() const { return cancellable_.get(); }

 private:
  static gboolean Tick(gpointer user) noexcept {
    auto* self = static_cast<PullContext*>(user);
    if (!self->watch_.Check()) g_cancellable_cancel(self->cancellable_.get());
    return G_SOURCE_CONTINUE;
  }

  PullWatch& watch_;
  GRef<GCancellable> cancellable_ = GRef<GCancellable>::Adopt(g_cancellable_new());
  GMainContext* context_ = g_main_context_new();
};

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
  // Every part may be missing after a power cut, so none is taken as a sign of the others.
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
  // Nothing of it is visible to anybody, so a failure to tidy up has no effect.
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
  return WriteObject(repo_.get(), file.checksum, object.get(), length);
}

Result<> Repo::Transaction::WriteContent(const Digest& checksum, std::string_view bytes) {
  auto object = GRef<GInputStream>::Adopt(g_memory_input_stream_new_from_data(
      bytes.data(), static_cast<gssize>(bytes.size()), /*destroy=*/nullptr));
  return WriteObject(repo_.get(), checksum, object.get(), bytes.size());
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

Result<std::string> Repo::ReadContent(const Digest& checksum) const {
  auto where = [&] { return std::format("{}: file object {}", path_, checksum.Hex()); };
  GErrorOut error;
  GRef<GInputStream> object;
  guint64 size = 0;
  if (!ostree_repo_load_object_stream(repo_.get(), OSTREE_OBJECT_TYPE_FILE, checksum.Hex().c_str(),
                                      object.Out(), &size, nullptr, error))
    return error.Fail(where());
  if (size > kMaxContentBytes)
    return Fail(Code::kNotSupported, "{}: expected at most {} bytes, found {}", where(),
                kMaxContentBytes, size);
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

Result<FetchPlan> Repo::Plan(const Commit& commit) const {
  // Those of an archive are libostree's own to judge.
  const ObjectNames interrupted =
      IsArchive(repo_.get()) ? ObjectNames() : TRY(InterruptedObjects(path_));
  FetchPlan plan;
  if (!IsArchive(repo_.get())) plan.removed = TRY(SizeOfOtherObjects(path_, Wanted(commit)));
  for (const ObjectSize& object : commit.sizes) {
    if (interrupted.contains({object.checksum, object.type}) ||
        TRY(Has(object.type, object.checksum))) {
      plan.reused_bytes += object.unpacked;
    } else {
      plan.objects += 1;
      plan.download_bytes += object.archived;
      plan.unpacked_bytes += InBlocks(object.unpacked);
    }
  }
  return plan;
}

Result<FetchPlan> Repo::Prepare(const Commit& commit) {
  const ObjectNames wanted = Wanted(commit);
  TRY(RemoveOtherObjects(path_, wanted));
  TRY(AdoptInterruptedObjects(path_, wanted));
  TRY(RemoveLeftovers(path_));
  FetchPlan plan = TRY(Plan(commit));
  const Space free = TRY(FreeSpaceAt(path_));
  if (free.bytes < plan.unpacked_bytes || free.inodes < plan.objects)
    return Fail(Code::kNoSpace,
                "{}: expected {} bytes and {} inodes free for the objects of {}, found {} and {}",
                path_, plan.unpacked_bytes, plan.objects, commit.release.version, free.bytes,
                free.inodes);
  return plan;
}

Result<> Repo::StoreCommit(const Digest& checksum, std::string_view bytes,
                           std::string_view detached) {
  // libostree takes a commit that is there for whole, and does not sync what it writes here: after
  // a loss of power it may be empty.
  const std::string file = path_ + "/" + ObjectPath(checksum, "commit");
  const Result<std::string> found = ReadFile(file, kMaxCommitBytes);
  if (found && *found != bytes && ::unlink(file.c_str()) < 0) return FailErrno(file);
  // Marked as partial, libostree looks below a commit that it has already.
  std::string hex = checksum.Hex();
  GErrorOut error;
  if (!ostree_repo_mark_commit_partial(repo_.get(), hex.c_str(), TRUE, error) ||
      !ostree_repo_write_metadata(repo_.get(), OSTREE_OBJECT_TYPE_COMMIT, hex.c_str(),
                                  VariantFromBytes(OSTREE_COMMIT_GVARIANT_STRING, bytes).get(),
                                  nullptr, nullptr, error)) {
    return error.Fail(std::format("{}: storing commit {}", path_, hex));
  }
  return WriteDetachedMetadata(checksum, detached);
}

Result<> Repo::Salvage(const std::string& from, const Commit& commit, Progress& progress) {
  const FetchPlan plan = TRY(Prepare(commit));
  const UniqueFd directory = TRY(hostos::Open(from, O_RDONLY | O_DIRECTORY));
  SystemClock clock;
  const Milliseconds end = clock.Monotonic() + kSalvageTime;
  Transaction transaction = TRY(Transaction::Begin(*this));
  for (const ObjectSize& object : commit.sizes) {
    if (progress.Cancelled() || clock.Monotonic() > end) break;
    if (TRY(Has(object.type, object.checksum))) continue;
    if (SalvageObject(directory.get(), object, transaction)) progress.Bytes(0, plan.download_bytes);
  }
  return transaction.Commit();
}

Result<FetchStats> Repo::Pull(const std::string& url, std::string_view commit_bytes,
                              std::string_view detached, const HttpOptions& http,
                              Progress& progress) {
  Commit commit = TRY(ParseCommit(commit_bytes));
  const Digest& checksum = commit.release.commit;
  const bool is_mirror = IsArchive(repo_.get());
  const FetchPlan plan = TRY(is_mirror ? Plan(commit) : Prepare(commit));
  if (is_mirror) TRY_CONTEXT(path_, AddRemote(repo_.get()));
  TRY(StoreCommit(checksum, commit_bytes, detached));

  PullWatch watch({.url = url,
                   .repository = path_,
                   .plan = plan,
                   .largest_object = LargestObject(commit.sizes),
                   .attempts = static_cast<uint64_t>(http.attempts),
                   .free_bytes = TRY(FreeSpaceAt(path_)).bytes,
                   .time = http.pull_time + Seconds(plan.download_bytes / http.pull_rate)},
                  progress);
  PullContext context(watch);
  auto state = GRef<OstreeAsyncProgress>::Adopt(ostree_async_progress_new());
  GErrorOut error;
  bool pulled = ostree_repo_pull_with_options(
      repo_.get(), kRemote, PullOptions(url, checksum.Hex(), is_mirror, http).get(), state.get(),
      context.cancellable(), error);
  ostree_async_progress_finish(state.get());
  if (watch.verdict()) return std::unexpected(*watch.verdict());
  if (!pulled) return PullFailure(error, url);
  progress.Bytes(plan.download_bytes, plan.download_bytes);
  if (!is_mirror) (void)RemoveLeftovers(path_);  // the next pull tries again
  return FetchStats{.objects = plan.objects,
                    .bytes = ostree_async_progress_get_uint64(state.get(), "bytes-transferred")};
}

Result<FetchStats> Repo::Copy(Archive& from, std::string_view commit_bytes,
                              std::string_view detached, Progress& progress) {
  const Commit commit = TRY(ParseCommit(commit_bytes));
  const FetchPlan plan = TRY(Prepare(commit));
  TRY(StoreCommit(commit.release.commit, commit_bytes, detached));
  FetchStats stats;
  const FileSizeLimit limit(LargestObject(commit.sizes));
  Transaction transaction = TRY(Transaction::Begin(*this));
  Result<> copied;
  for (const ObjectSize& object : commit.sizes) {
    if (TRY(Has(object.type, object.checksum))) continue;
    copied = CopyObject(from, object, transaction);
    if (!copied) break;
    stats.objects += 1;
    stats.bytes += object.archived;
    progress.Bytes(stats.bytes, plan.download_bytes);
  }
  TRY(transaction.Commit());  // what was copied before a failure stays, and is not copied again
  TRY(std::move(copied));
  GErrorOut error;
  if (!ostree_repo_mark_commit_partial(repo_.get(), commit.release.commit.Hex().c_str(), FALSE,
                                       error))
    return error.Fail(path_);
  (void)RemoveLeftovers(path_);
  return stats;
}

}  // namespace hostos

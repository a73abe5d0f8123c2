#include "updater/source/repo.h"

#include <gio/gfiledescriptorbased.h>
#include <gio/gunixinputstream.h>
#include <ostree.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "updater/base/atomic_file.h"
#include "updater/source/glib.h"
#include "updater/source/objects.h"
#include "updater/source/staging.h"

namespace hostos {
namespace {

constexpr char kRemote[] = "hostos";

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
    Code code = Is(G_IO_ERROR_NOT_FOUND)  ? Code::kNotFound
                : Is(G_IO_ERROR_NO_SPACE) ? Code::kNoSpace
                                          : Code::kFailed;
    return hostos::Fail(code, "{}: {}", what, message());
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
  if (!repo) return error.Fail(path + ": opening the OSTree repository");
  return std::shared_ptr<OstreeRepo>(repo, [](OstreeRepo* opened) { g_object_unref(opened); });
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

// The bytes this process has handed to write(2) so far (proc_pid_io(5)).
uint64_t WrittenBytes() {
  constexpr std::string_view kKey = "wchar: ";
  std::string text = ReadFile("/proc/self/io").value_or("");
  size_t key = text.find(kKey);
  return key == text.npos ? 0 : std::strtoull(text.c_str() + key + kKey.size(), nullptr, 10);
}

// While it lives, no file of this process grows beyond a size. libostree has no limit for content
// objects, neither for what comes nor for what that unpacks to; but it writes all of it to files.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(uint64_t bytes) {
    (void)::getrlimit(RLIMIT_FSIZE, &before_);  // cannot fail
    handler_ = ::signal(SIGXFSZ, SIG_IGN);      // write(2) then fails with EFBIG
    Set(bytes);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    (void)::setrlimit(RLIMIT_FSIZE, &before_);
    (void)::signal(SIGXFSZ, handler_);
  }
  void Set(uint64_t bytes) {
    struct rlimit limit = before_;
    limit.rlim_cur = std::min<rlim_t>(bytes, before_.rlim_cur);
    (void)::setrlimit(RLIMIT_FSIZE, &limit);  // a soft limit within the hard one: cannot fail
  }

 private:
  struct rlimit before_{};
  void (*handler_)(int) = SIG_DFL;
};

// One pull as it goes on: reports it, and ends it when all objects together exceed what their
// signed sizes allow. libostree counts an object only once it is whole, so this watches what is
// written: every byte twice, as it came and unpacked.
struct PullWatch {
  Progress& progress;
  const Repo& repo;
  const std::string& url;
  FetchPlan plan;
  uint64_t attempts;
  uint64_t free_floor;
  FileSizeLimit limit;
  uint64_t written_before = WrittenBytes();
  GRef<GCancellable> cancel = GRef<GCancellable>::Adopt(g_cancellable_new());
  std::optional<Error> verdict;

  void Stop(Code code, std::string message) {
    if (!verdict) verdict = Error{code, std::move(message)};
    g_cancellable_cancel(cancel.get());
    limit.Set(
        0);  // libostree cancels no transfer that is under way, but it ends what it can't write
  }

  void Check() {
    constexpr uint64_t kSlack = 4 << 20;  // what is written beside the objects
    uint64_t written = WrittenBytes() - written_before;
    uint64_t expected = plan.download_bytes + plan.unpacked_bytes;
    double part =
        static_cast<double>(written) / static_cast<double>(std::max<uint64_t>(expected, 1));
    progress.Bytes(
        static_cast<uint64_t>(std::min(part, 1.0) * static_cast<double>(plan.download_bytes)),
        plan.download_bytes);
    if (written > attempts * expected + kSlack) {
      Stop(Code::kNotTrusted,
           std::format("{}: expected at most the signed {} bytes for this release, found more", url,
                       plan.download_bytes));
    }
    auto free = repo.FreeBytes();
    if (free && *free < free_floor) {
      Stop(Code::kNoSpace, std::format("{}: expected the signed {} bytes of this release to leave "
                                       "more than {} bytes free, found {}",
                                       repo.path(), plan.unpacked_bytes, free_floor, *free));
    }
  }
};

VariantRef PullOptions(const std::string& url, const std::string& checksum,
                       const HttpOptions& http) {
  GVariantDict options;
  g_variant_dict_init(&options, nullptr);
  const char* refs[] = {checksum.c_str()};
  g_variant_dict_insert_value(&options, "refs", g_variant_new_strv(refs, 1));
  g_variant_dict_insert(&options, "override-url", "s", url.c_str());
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

// No file of a pull has a reason to be larger; metadata has libostree's own limit.
uint64_t LargestObject(const Commit& commit) {
  uint64_t largest = kMaxMetadataBytes;
  for (const ObjectSize& object : commit.sizes) {
    largest = std::max({largest, object.archived, object.unpacked});
  }
  return largest;
}

// What went wrong in a pull, as what our callers branch on. libostree says of most things only that
// they failed, so its words have to tell the server's faults from those of what it served.
std::unexpected<Error> PullFailure(const GErrorOut& error, const std::string& url) {
  std::string_view message = error.message();
  Code code = Code::kFailed;
  if (error.Is(G_IO_ERROR_NO_SPACE)) {
    code = Code::kNoSpace;
  } else if (message.contains("While fetching") || message.contains("HTTP ")) {
    code = Code::kNetwork;
  } else if (message.contains("Corrupted") || message.contains("Parsing") ||
             message.contains("File too large") || error.Is(G_IO_ERROR_PARTIAL_INPUT) ||
             error.Is(G_IO_ERROR_INVALID_DATA)) {
    code = Code::kNotTrusted;
  }
  return Fail(code, "{}: {}", url, message);
}

// The thread's default main context while it lives: libostree runs its pull in it, and it calls the
// watch every tenth of a second.
class PullContext {
 public:
  explicit PullContext(PullWatch& watch) {
    g_main_context_push_thread_default(context_);
    GSource* timer = g_timeout_source_new(100);
    g_source_set_callback(
        timer,
        [](gpointer user) -> gboolean {
          static_cast<PullWatch*>(user)->Check();
          return G_SOURCE_CONTINUE;
        },
        &watch, nullptr);
    g_source_attach(timer, context_);
    g_source_unref(timer);
  }
  PullContext(const PullContext&) = delete;
  PullContext& operator=(const PullContext&) = delete;
  ~PullContext() {
    g_main_context_pop_thread_default(context_);
    g_main_context_unref(context_);
  }

 private:
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
  if (ostree_repo_get_mode(repo.get()) != OSTREE_REPO_MODE_ARCHIVE) {
    return Fail(Code::kUsage, "{}: expected an OSTree repository of mode archive, found another",
                path);
  }
  return Open(path);
}

Result<Repo> Repo::OpenStaging(const std::string& path, const std::string& parent) {
  // Every part may be missing after a power cut, so none is taken as a sign of the others. Staged
  // objects carry the setuid bits of the release: nobody but root gets at them.
  TRY(MakeDirectories(path, 0700));
  for (const char* part : {"objects", "tmp", "state", "refs/heads", "refs/remotes", "extensions"}) {
    TRY(MakeDirectories(path + "/" + part));
  }
  std::string config = std::format(
      "[core]\nrepo_version=1\nmode=bare\nmin-free-space-percent=0\n{}\n"
      "[remote \"{}\"]\nurl=https://localhost/\ngpg-verify=false\n",
      parent.empty() ? "" : "parent=" + parent + "\n", kRemote);
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
  std::string hex = file.checksum.Hex();
  GRef<GInputStream> object;
  guint64 length = 0;
  GErrorOut error;
  if (!ostree_raw_file_to_content_stream(input.get(), info.get(), xattrs.get(), object.Out(),
                                         &length, nullptr, error) ||
      !ostree_repo_write_content(repo_.get(), hex.c_str(), object.get(), length, nullptr, nullptr,
                                 error)) {
    return error.Fail("writing file object " + hex);
  }
  return {};
}

void Repo::Transaction::SetRef(const std::string& ref, const Digest& commit) {
  ostree_repo_transaction_set_ref(repo_.get(), nullptr, ref.c_str(), commit.Hex().c_str());
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
  if (!ostree_repo_load_file(repo_.get(), checksum.Hex().c_str(), nullptr, info.Out(), xattrs.Out(),
                             nullptr, error)) {
    return error.Fail(where());
  }
  FileObject file;
  file.checksum = checksum;
  file.metadata.uid = g_file_info_get_attribute_uint32(info.get(), "unix::uid");
  file.metadata.gid = g_file_info_get_attribute_uint32(info.get(), "unix::gid");
  file.metadata.mode = g_file_info_get_attribute_uint32(info.get(), "unix::mode");
  file.metadata.xattrs = TRY_CONTEXT(where(), ReadXattrs(xattrs.get()));
  if (S_ISLNK(file.metadata.mode)) {
    // libostree finds no target, and no error, in a damaged header.
    const char* target =
        g_file_info_get_attribute_byte_string(info.get(), "standard::symlink-target");
    if (!target) return Fail(Code::kNotTrusted, "{}: a symbolic link without a target", where());
    file.target = target;
    file.size = file.target.size();
  } else if (S_ISREG(file.metadata.mode)) {
    file.size = static_cast<uint64_t>(g_file_info_get_size(info.get()));
  } else {
    return Fail(Code::kNotTrusted, "{}: expected a regular file or link, found mode {:o}", where(),
                file.metadata.mode);
  }
  return file;
}

Result<UniqueFd> Repo::OpenContent(const Digest& checksum) const {
  GErrorOut error;
  GRef<GInputStream> input;
  auto where = [&] { return std::format("{}: file object {}", path_, checksum.Hex()); };
  if (!ostree_repo_load_file(repo_.get(), checksum.Hex().c_str(), input.Out(), nullptr, nullptr,
                             nullptr, error)) {
    return error.Fail(where());
  }
  if (!input) return Fail(Code::kFailed, "{}: a symbolic link has no content to open", where());
  if (!G_IS_FILE_DESCRIPTOR_BASED(input.get())) return TRY_CONTEXT(where(), Unpack(input.get()));
  UniqueFd file(::fcntl(g_file_descriptor_based_get_fd(G_FILE_DESCRIPTOR_BASED(input.get())),
                        F_DUPFD_CLOEXEC, 0));
  if (!file) return FailErrno(where());
  return file;
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
  ObjectNames interrupted = TRY(InterruptedObjects(path_));
  FetchPlan plan;
  for (const ObjectSize& object : commit.sizes) {
    if (interrupted.contains({object.checksum, object.type}) ||
        TRY(Has(object.type, object.checksum))) {
      plan.reused_bytes += object.unpacked;
    } else {
      plan.objects += 1;
      plan.download_bytes += object.archived;
      plan.unpacked_bytes += object.unpacked;
    }
  }
  return plan;
}

Result<FetchStats> Repo::Pull(const std::string& url, std::string_view commit_bytes,
                              std::string_view detached, const HttpOptions& http,
                              Progress& progress) {
  Commit commit = TRY(ParseCommit(commit_bytes));
  std::string hex = commit.release.commit.Hex();
  ObjectNames wanted{{commit.release.commit, ObjectType::kCommit}};
  for (const ObjectSize& object : commit.sizes) wanted.insert({object.checksum, object.type});
  TRY(RemoveOtherObjects(path_, wanted));
  TRY(AdoptInterruptedObjects(path_, wanted));
  wanted.clear();
  FetchPlan plan = TRY(Plan(commit));
  uint64_t free = TRY(FreeBytes());
  if (free < plan.unpacked_bytes) {
    return Fail(Code::kNoSpace, "{}: expected {} bytes free for the objects of {}, found {}", path_,
                plan.unpacked_bytes, commit.release.version, free);
  }

  // Marked as partial, libostree looks below a commit that it has already.
  GErrorOut error;
  if (!ostree_repo_mark_commit_partial(repo_.get(), hex.c_str(), TRUE, error) ||
      !ostree_repo_write_metadata(
          repo_.get(), OSTREE_OBJECT_TYPE_COMMIT, hex.c_str(),
          VariantFromBytes(OSTREE_COMMIT_GVARIANT_STRING, commit_bytes).get(), nullptr, nullptr,
          error)) {
    return error.Fail(std::format("{}: storing commit {}", path_, hex));
  }
  TRY(WriteDetachedMetadata(commit.release.commit, detached));

  // Others may write to the same file system meanwhile: they get half of what is to be left.
  PullWatch watch{.progress = progress,
                  .repo = *this,
                  .url = url,
                  .plan = plan,
                  .attempts = static_cast<uint64_t>(http.attempts),
                  .free_floor = (free - plan.unpacked_bytes) / 2,
                  .limit = FileSizeLimit(LargestObject(commit))};
  PullContext context(watch);
  auto state = GRef<OstreeAsyncProgress>::Adopt(ostree_async_progress_new());
  bool pulled =
      ostree_repo_pull_with_options(repo_.get(), kRemote, PullOptions(url, hex, http).get(),
                                    state.get(), watch.cancel.get(), error);
  ostree_async_progress_finish(state.get());
  if (!pulled) {
    if (watch.verdict) return std::unexpected(*std::move(watch.verdict));
    return PullFailure(error, url);
  }
  progress.Bytes(plan.download_bytes, plan.download_bytes);
  return FetchStats{.objects = plan.objects,
                    .bytes = ostree_async_progress_get_uint64(state.get(), "bytes-transferred")};
}

Result<uint64_t> Repo::FreeBytes() const {
  struct statvfs status;
  if (::statvfs(path_.c_str(), &status) < 0) return FailErrno(path_);
  return uint64_t{status.f_bavail} * status.f_frsize;
}

}  // namespace hostos

// Gets what a verified commit needs into a repository: from a server, from another archive, or from
// the whole objects of a damaged repository.
#include <gio/gunixinputstream.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "updater/base/space.h"
#include "updater/release/commit.h"
#include "updater/release/glib.h"
#include "updater/release/objects.h"
#include "updater/source/ostree_calls.h"
#include "updater/source/pull_watch.h"
#include "updater/source/repo.h"
#include "updater/source/staged_objects.h"

namespace hostos {
namespace {

constexpr Seconds kSalvageTime{600};  // a disk may take seconds to report a bad block

VariantRef PullOptions(const std::string& url, const std::string& checksum, bool is_mirror,
                       const HttpOptions& http) {
  GVariantDict options;
  g_variant_dict_init(&options, nullptr);
  const char* refs[] = {checksum.c_str()};
  g_variant_dict_insert_value(&options, "refs", g_variant_new_strv(refs, 1));
  if (!http.token.empty()) {  // curl does not send it to other servers on a redirect
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
  // Milliseconds: how old the numbers are that a pull which fails leaves behind.
  g_variant_dict_insert(&options, "update-frequency", "u", 100u);
  // The commit was verified before, and everything else is named by its checksum.
  g_variant_dict_insert(&options, "gpg-verify", "b", FALSE);
  g_variant_dict_insert(&options, "gpg-verify-summary", "b", FALSE);
  g_variant_dict_insert(&options, "disable-verify-bindings", "b", TRUE);
  g_variant_dict_insert(&options, "n-network-retries", "u", static_cast<guint>(http.attempts - 1));
  g_variant_dict_insert(&options, "low-speed-time-seconds", "u",
                        static_cast<guint>(http.stall_timeout.count()));
  return VariantRef::Retain(g_variant_dict_end(&options));
}

// A pull needs a named remote. Its URL is always overridden.
Result<> AddRemote(OstreeRepo* repo) {
  GErrorOut error;
  if (!ostree_repo_remote_change(repo, nullptr, OSTREE_REPO_REMOTE_CHANGE_ADD_IF_NOT_EXISTS,
                                 kRemote, "https://localhost/", nullptr, nullptr, error))
    return error.Fail("adding a remote");
  return {};
}

// Tells the server's faults from those of what it served.
std::unexpected<Error> PullFailure(const GErrorOut& error, const std::string& url) {
  const std::string_view message = error.message();
  const bool network = message.contains("While fetching") || message.contains("HTTP ");
  const Code code = error.code();
  return Fail(network && code != Code::kNoSpace ? Code::kNetwork : code, "{}: {}", url, message);
}

// An object that an archive has but cannot be read is damaged, in whatever way.
template <class T>
Result<T> Damaged(Result<T> read) {
  if (!read && read.error().code == Code::kFailed) read.error().code = Code::kNotTrusted;
  return read;
}

struct Content {
  FileObject file;
  UniqueFd bytes;  // none for a link
};

// Trusted no more than in LoadFile.
Result<Content> ReadContent(const ObjectFiles::File& stored, const Digest& checksum) {
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

// Written with its checksum: a different object is refused.
Result<> CopyObject(ObjectFiles& from, const ObjectSize& object, Repo::Transaction& to) {
  const std::string name = ObjectPath(object);
  if (object.type != ObjectType::kFile)
    return to.WriteMetadata(object.type, object.checksum,
                            TRY(Damaged(from.Fetch(name, kMaxMetadataBytes))));
  const ObjectFiles::File stored = TRY(from.OpenObject(object));
  const Content content = TRY_CONTEXT(name, Damaged(ReadContent(stored, object.checksum)));
  return to.WriteFile(content.file, content.bytes.get());
}

// As CopyObject, from a bare repository, whose files are the objects' content.
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

ObjectNames Wanted(const Commit& commit) {
  ObjectNames wanted{{commit.release.commit, ObjectType::kCommit}};
  for (const ObjectSize& object : commit.sizes) wanted.insert({object.checksum, object.type});
  return wanted;
}

// Runs a pull under its watch. libostree uses the thread's default main context. While this object
// lives, that is a context of its own, with a timer in it.
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

Result<FetchPlan> Repo::Plan(const Commit& commit) const {
  // In an archive libostree deals with them itself.
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

Result<> Repo::StoreCommit(const SignedCommit& commit) {
  const Digest& checksum = commit.release.commit;
  // libostree takes a commit that exists for whole. But it does not sync what it writes here, so
  // after a power cut the commit may be empty.
  const std::string file = path_ + "/" + ObjectPath(checksum, "commit");
  const Result<std::string> found = ReadFile(file, kMaxCommitBytes);
  if (found && *found != commit.bytes && ::unlink(file.c_str()) < 0) return FailErrno(file);
  // libostree looks below a commit that it already has only if the commit is marked as partial.
  std::string hex = checksum.Hex();
  GErrorOut error;
  if (!ostree_repo_mark_commit_partial(repo_.get(), hex.c_str(), TRUE, error) ||
      !ostree_repo_write_metadata(
          repo_.get(), OSTREE_OBJECT_TYPE_COMMIT, hex.c_str(),
          VariantFromBytes(OSTREE_COMMIT_GVARIANT_STRING, commit.bytes).get(), nullptr, nullptr,
          error)) {
    return error.Fail(std::format("{}: storing commit {}", path_, hex));
  }
  return WriteDetachedMetadata(checksum, commit.signatures);
}

Result<> Repo::MarkComplete(const Digest& commit) {
  GErrorOut error;
  if (!ostree_repo_mark_commit_partial(repo_.get(), commit.Hex().c_str(), FALSE, error))
    return error.Fail(path_);
  return {};
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

Result<FetchStats> Repo::Pull(const std::string& url, const SignedCommit& commit,
                              const HttpOptions& http, Progress& progress) {
  const Digest& checksum = commit.release.commit;
  const bool is_mirror = IsArchive(repo_.get());
  const FetchPlan plan = TRY(is_mirror ? Plan(commit) : Prepare(commit));
  if (is_mirror) TRY_CONTEXT(path_, AddRemote(repo_.get()));
  TRY(StoreCommit(commit));
  if (plan.objects == 0) {
    TRY(MarkComplete(checksum));
    return FetchStats{};
  }

  const uint64_t free_bytes = TRY(FreeSpaceAt(path_)).bytes;
  PullWatch watch({.url = url,
                   .repository = path_,
                   .plan = plan,
                   .largest_object = LargestObject(commit.sizes),
                   .attempts = static_cast<uint64_t>(http.attempts),
                   .free_bytes = free_bytes,
                   .time = http.PullTime(plan.download_bytes)},
                  progress);
  PullContext context(watch);
  auto state = GRef<OstreeAsyncProgress>::Adopt(ostree_async_progress_new());
  GErrorOut error;
  bool pulled = ostree_repo_pull_with_options(
      repo_.get(), kRemote, PullOptions(url, checksum.Hex(), is_mirror, http).get(), state.get(),
      context.cancellable(), error);
  ostree_async_progress_finish(state.get());
  const uint64_t bytes = ostree_async_progress_get_uint64(state.get(), "bytes-transferred");
  http.traffic->bytes += bytes;
  http.traffic->requests += ostree_async_progress_get_uint(state.get(), "requested");
  if (watch.verdict()) return std::unexpected(*watch.verdict());
  if (!pulled) return PullFailure(error, url);
  progress.Bytes(plan.download_bytes, plan.download_bytes);
  if (!is_mirror) (void)RemoveLeftovers(path_);  // the next pull tries again
  return FetchStats{.objects = plan.objects, .bytes = bytes};
}

Result<FetchStats> Repo::Copy(ObjectFiles& from, const SignedCommit& commit, Progress& progress) {
  const FetchPlan plan = TRY(Prepare(commit));
  TRY(StoreCommit(commit));
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
  TRY(transaction.Commit());  // what was copied before a failure stays and is not copied again
  TRY(std::move(copied));
  TRY(MarkComplete(commit.release.commit));
  (void)RemoveLeftovers(path_);
  return stats;
}

}  // namespace hostos

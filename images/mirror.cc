#include "images/mirror.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <ranges>
#include <unordered_map>
#include <unordered_set>

#include "images/metadata_files.h"
#include "images/program.h"
#include "images/reseal.h"
#include "images/work_directory.h"
#include "updater/base/atomic_file.h"
#include "updater/base/mask.h"
#include "updater/release/commit.h"
#include "updater/release/signature.h"
#include "updater/source/archive.h"
#include "updater/source/files.h"
#include "updater/source/repo.h"
#include "updater/tuf/client.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr char kTimestamp[] = "metadata/timestamp.json";

// Adds the channels that the mirror already has targets of: the metadata moves on for all of them,
// so each must be copied in every run.
Result<> AddHeldChannels(const std::string& repo, std::set<std::string>& channels) {
  const fs::path targets = repo + "/targets";
  std::error_code error;
  for (fs::recursive_directory_iterator entry(targets, error), end; !error && entry != end;
       entry.increment(error))
    if (entry.depth() == 2 && entry->is_directory(error))
      channels.insert(entry->path().lexically_relative(targets));
  if (error && error != std::errc::no_such_file_or_directory)
    return FailErrno(targets.string(), error.value());
  return {};
}

// Makes `trusted` hold what a client of this root and of the mirror already knows, expired or not:
// the floor for what comes next. Returns the root as a file of the mirror.
Result<NotedFile> Remember(const MirrorOptions& options, const std::string& trusted) {
  const std::string bytes = TRY(ReadFile(options.root, tuf::kRootCap));
  TRY_CONTEXT(options.root, tuf::Client::Init(trusted, bytes));
  const tuf::Root root = TRY(tuf::Root::Parse(bytes));
  NotedFile file{std::format("metadata/{}.root.json", root.version), bytes};
  Archive mirror = TRY(Archive::Open(options.repo));
  if (!mirror.OpenFile(kTimestamp)) return file;
  Folder metadata(mirror, "metadata/");
  TRY_CONTEXT(std::format("{}: it is damaged, or another publisher's (without {} it begins anew)",
                          options.repo, kTimestamp),
              tuf::Client::Refresh(trusted, metadata, 0));
  return file;
}

// "hostos/x86-64/stable, hostos/x86-64/edge": the channels that have a release.
std::string ChannelsIn(const tuf::Targets& targets) {
  constexpr std::string_view kEnd = ".json";
  std::string channels;
  for (const std::string& path : targets.targets | std::views::keys)
    if (std::ranges::count(path, '/') == 2 && path.ends_with(kEnd))
      channels += (channels.empty() ? "" : ", ") + path.substr(0, path.size() - kEnd.size());
  return channels.empty() ? "none" : channels;
}

// The releases of a channel that are not withdrawn, the newest first. Fetches the targets of all of
// them.
Result<std::vector<ReleaseTarget>> ReleasesOf(const std::string& channel, const tuf::Client& client,
                                              const tuf::Targets& targets, tuf::Fetcher& files) {
  std::vector<ReleaseTarget> releases;
  uint64_t minimum_index = 0;
  for (const auto& [path, file] : targets.targets) {  // "<channel>.json" is before "<channel>/..."
    if (path != channel + ".json" && !path.starts_with(channel + "/")) continue;
    if (*file.length > kMaxReleaseTargetBytes)
      return Fail(Code::kNotTrusted, "{}: expected at most {} bytes, found {}", path,
                  kMaxReleaseTargetBytes, *file.length);
    const std::string bytes = TRY(client.Fetch(file, files));
    const ReleaseTarget release = TRY_CONTEXT(path, ParseReleaseTarget(bytes));
    const std::string newest =
        ChannelTarget(release.product, release.architecture, release.channel);
    if (newest != channel + ".json")
      return Fail(Code::kNotTrusted, "{}: expected a release of {}, found one of {}", path, channel,
                  newest);
    const std::string own =
        VersionTarget(release.product, release.architecture, release.channel, release.version);
    if (path != newest && path != own)  // it becomes a file name here
      return Fail(Code::kNotTrusted, "{}: expected the release of this name, found {}", path, own);
    if (path == newest) minimum_index = release.minimum_index;
    if (release.index >= minimum_index &&
        !std::ranges::contains(releases, release.commit, &ReleaseTarget::commit))
      releases.push_back(release);
  }
  if (releases.empty())
    return Fail(Code::kNotFound,
                "expected releases in channel {}, found none; the channels are: {}", channel,
                ChannelsIn(targets));
  return releases;
}

class Copier {
 public:
  Copier(const MirrorOptions& options, Repo repo, std::vector<PublicKey> keys)
      : options_(options), repo_(std::move(repo)), keys_(std::move(keys)) {}

  // Copies the release's commit and objects, then sets its ref.
  Result<FetchStats> Copy(const ReleaseTarget& release, tuf::Fetcher& files, Progress& progress) {
    CommitFiles found = TRY(FetchCommit(files, release.commit));
    TRY(VerifyCommit(found.bytes, found.signatures, keys_, options_.signatures));
    const SignedCommit commit =
        TRY(ParseSignedCommit(std::move(found.bytes), std::move(found.signatures)));
    TRY(CheckBinding(release, commit.release));
    TRY(RemoveDamaged(commit.sizes));
    FetchStats copied;
    // libostree trusts what an interrupted run left, even if its last write failed. So what is
    // damaged is removed and fetched once more; if it is damaged again, the source is at fault.
    for (bool again : {true, false}) {
      const FetchStats stats = TRY(
          repo_.Pull(options_.from, commit, HttpOptions(), progress).transform_error(MaskedError));
      copied.objects += stats.objects;
      copied.bytes += stats.bytes;
      TRY(RemoveDamaged(commit.sizes));
      const auto damaged = std::ranges::find_if(commit.sizes, [&](const ObjectSize& object) {
        return !whole_.contains(object.checksum);
      });
      if (damaged == commit.sizes.end()) break;
      if (!again)
        return Fail(Code::kNotTrusted, "{}/{}: is not the object that was signed: {}",
                    Masked(options_.from), ObjectPath(*damaged), why_[damaged->checksum]);
    }
    const std::string ref = ReleaseRef(release.architecture, release.version);
    if (!repo_.ResolveRef(ref)) TRY(SetRef(ref, release.commit));
    for (const DeltaPack& pack : release.packs) {
      const Result<uint64_t> bytes = CopyPack(pack, release.root_hash, progress);
      if (!bytes)  // nodes then fetch objects
        progress.Begin("copy", "without a delta pack: " + MaskedError(bytes.error()).message);
      copied.bytes += bytes.value_or(0);
    }
    for (const SbomFile& sbom : release.sboms) {
      const Result<uint64_t> bytes = CopySbom(sbom, release, progress);
      if (!bytes)  // it is in the release, too
        progress.Begin("copy", "without an SBOM: " + MaskedError(bytes.error()).message);
      copied.bytes += bytes.value_or(0);
    }
    return copied;
  }

  // A pack decides nothing, and is copied as it is. Returns its bytes, 0 when it is there already.
  Result<uint64_t> CopyPack(const DeltaPack& pack, const Digest& to, Progress& progress) {
    const std::string name = PackPath(pack.from, to);
    std::error_code absent;
    if (fs::file_size(repo_.path() + "/" + name, absent) == pack.size && !absent) return 0;
    return CopyFile(name, pack.size, [](const std::string&) { return Result<>(); }, progress);
  }

  // The same for what a release consists of, which is what was signed.
  Result<uint64_t> CopySbom(const SbomFile& sbom, const ReleaseTarget& release,
                            Progress& progress) {
    const std::string name = SbomPath(release, sbom.format);
    const auto check = [&](const std::string& path) -> Result<> {
      const UniqueFd file = TRY(Open(path, O_RDONLY));
      if (const Digest found = TRY(HashFile(file.get(), sbom.size)); found != sbom.digest)
        return Fail(Code::kNotTrusted, "{}/{}: expected SHA-256 {} as signed, found {}",
                    Masked(options_.from), name, sbom.digest.Hex(), found.Hex());
      return {};
    };
    std::error_code absent;
    const std::string path = repo_.path() + "/" + name;
    if (fs::file_size(path, absent) == sbom.size && !absent && check(path)) return 0;
    return CopyFile(name, sbom.size, check, progress);
  }

  // Copies a file of the source that is named with its size. `check` looks at the copy before it is
  // there for nodes.
  Result<uint64_t> CopyFile(const std::string& name, uint64_t size, const auto& check,
                            Progress& progress) {
    const std::string path = repo_.path() + "/" + name;
    TRY(MakeDirectories(fs::path(path).parent_path()));
    const WorkDirectory work = TRY(WorkDirectory::Beside(path));
    const std::string part = work / "part";
    if (IsLocal(options_.from)) {
      const Archive archive = TRY(Archive::Open(options_.from));
      const Archive::File file = TRY(archive.OpenFile(name));
      TRY(CopyContent(file.fd.get(), part));
    } else {
      UniqueFd file = TRY(Open(part, O_RDWR | O_CREAT | O_EXCL, 0644));
      TRY(HttpClient().Download(options_.from + "/" + name, file.get(), size, progress));
      TRY(file.Close());
    }
    std::error_code absent;
    if (const uint64_t found = fs::file_size(part, absent); absent || found != size)
      return Fail(Code::kNotTrusted, "{}/{}: expected {} bytes as signed, found {}",
                  Masked(options_.from), name, size, found);
    TRY(check(part));
    TRY(PublishFile(part, path));
    return size;
  }

  Result<> SetRef(const std::string& ref, const Digest& commit) {
    Repo::Transaction transaction = TRY(Repo::Transaction::Begin(repo_));
    transaction.SetRef(ref, commit);
    return transaction.Commit();
  }

 private:
  // Removes the mirror's objects that are not what was signed. The others are known to be whole
  // from then on.
  Result<> RemoveDamaged(const std::vector<ObjectSize>& objects) {
    for (const ObjectSize& object : objects) {
      TRY(CheckInterrupt());
      if (whole_.contains(object.checksum) || !TRY(repo_.Has(object.type, object.checksum)))
        continue;
      const Result<> checked = CheckObject(object);
      if (checked) {
        whole_.insert(object.checksum);
        continue;
      }
      why_[object.checksum] = checked.error().message;
      TRY(RemoveFileDurably(repo_.path() + "/" + ObjectPath(object)));
    }
    return {};
  }

  Result<> CheckObject(const ObjectSize& object) const {
    const uint64_t size = TRY(repo_.StoredSize(object.type, object.checksum));
    if (size != object.archived)
      return Fail(Code::kNotTrusted, "expected {} bytes, found {}", object.archived, size);
    if (object.type != ObjectType::kFile) {
      TRY(repo_.ReadMetadata(object.type, object.checksum));
      return {};
    }
    const FileObject file = TRY(repo_.ReadFileHeader(object.checksum));
    UniqueFd content;
    if (S_ISREG(file.metadata.mode)) content = TRY(repo_.OpenContent(object.checksum));
    return CheckContent(file, content.get());
  }

  const MirrorOptions& options_;
  Repo repo_;
  std::vector<PublicKey> keys_;
  std::unordered_set<Digest> whole_;
  std::unordered_map<Digest, std::string> why_;  // why an object was removed
};

// Publishes the releases' files, which never change, then the metadata, which shows them to nodes.
Result<> Publish(const std::string& repo, const std::vector<NotedFile>& files,
                 const std::string& timestamp) {
  std::map<std::string, std::string> metadata;
  for (const NotedFile& file : files) {
    const fs::path path = repo + "/" + file.name;
    if (file.name.starts_with("metadata/")) {
      metadata[path.filename()] = file.bytes;
      continue;
    }
    TRY(MakeDirectories(path.parent_path()));
    TRY(WriteFileAtomically(path, file.bytes));
  }
  metadata[fs::path(kTimestamp).filename()] = timestamp;
  return PublishMetadata(repo, metadata);
}

}  // namespace

Result<Mirrored> Mirror(MirrorOptions options, uint64_t now, Progress& progress) {
  while (options.from.ends_with('/')) options.from.pop_back();
  Repo repo = TRY(Repo::CreateArchive(options.repo));
  const UniqueFd lock = TRY(Open(options.repo, O_RDONLY | O_DIRECTORY));
  if (::flock(lock.get(), LOCK_EX) < 0) return FailErrno(options.repo);
  TRY(AddHeldChannels(options.repo, options.channels));

  const std::string from = Masked(options.from);
  progress.Begin("resolve", from);
  const WorkDirectory work = TRY(WorkDirectory::Beside(options.repo));
  std::vector<NotedFile> found = {TRY(Remember(options, work.path()))};
  const std::unique_ptr<tuf::Fetcher> files = TRY(OpenFiles(options.from, {}));
  NotedFiles noted(*files, found);
  Folder metadata(noted, "metadata/"), targets(noted, "targets/");
  const tuf::Client client = TRY_CONTEXT(from, tuf::Client::Refresh(work.path(), metadata, now));
  const std::string signed_targets = TRY(ReadFile(work / "targets.json", tuf::kTargetsCap));
  const tuf::Targets all = TRY(tuf::Targets::Parse("targets", signed_targets));

  if (options.channels.empty())
    return Fail(Code::kUsage,
                "expected a --channel to copy, as {} has none yet; the channels of {} are: {}",
                options.repo, from, ChannelsIn(all));

  Mirrored done;
  Copier copier(options, repo, TRY(LoadGivenKeys(options.keys)));
  for (const std::string& channel : options.channels) {
    const std::vector<ReleaseTarget> releases =
        TRY_CONTEXT(from, ReleasesOf(channel, client, all, targets));
    for (const ReleaseTarget& release : releases) {
      progress.Begin("copy", std::format("{} of {}", release.version, channel));
      const FetchStats copied =
          TRY_CONTEXT(std::format("commit {} ({})", release.commit.Hex(), release.version),
                      copier.Copy(release, *files, progress));
      done.objects += copied.objects;
      done.bytes += copied.bytes;
      done.releases.push_back(release);
    }
    TRY(copier.SetRef(ChannelRef(releases[0].architecture, releases[0].channel),
                      releases[0].commit));
  }
  progress.Begin("publish", options.repo);
  if (::syncfs(lock.get()) < 0) return FailErrno(options.repo);
  const std::string timestamp = TRY(ReadFile(work / "timestamp.json", tuf::kTimestampCap));
  TRY(Publish(options.repo, found, timestamp));
  return done;
}

}  // namespace hostos

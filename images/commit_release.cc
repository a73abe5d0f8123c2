#include "images/commit_release.h"

#include <filesystem>
#include <optional>

#include "bootctl/uki.h"
#include "images/make_sbom.h"
#include "images/program.h"
#include "images/provenance.h"
#include "images/publish/publish.h"
#include "images/publish/scan_directory.h"
#include "images/publish/secret_key.h"
#include "images/publish/stable_layout.h"
#include "images/rescue.h"
#include "images/reseal.h"
#include "images/root_tree.h"
#include "images/uki.h"
#include "images/updatable.h"
#include "images/work_directory.h"
#include "updater/base/atomic_file.h"
#include "updater/base/clock.h"
#include "updater/seal/seal.h"
#include "updater/source/repo.h"
#include "updater/source/scan.h"

namespace hostos {
namespace {

// An optional copy for the caller: written beside its place, and moved there when all is done.
class Copy {
 public:
  static Result<Copy> To(const std::string& path) {
    Copy copy;
    if (path.empty()) return copy;
    copy.path_ = path;
    copy.work_.emplace(TRY(WorkDirectory::Beside(path)));
    return copy;
  }
  // Where to write the copy; /dev/null when none was asked for.
  std::string place() const { return work_ ? *work_ / "copy" : "/dev/null"; }
  Result<> Publish() const {
    if (!work_) return {};
    return PublishFile(place(), path_);
  }

 private:
  std::string path_;
  std::optional<WorkDirectory> work_;
};

Result<> CheckNames(const CommitOptions& options) {
  for (const auto& [what, name] :
       {std::pair("--version", options.version), std::pair("--channel", options.channel),
        std::pair("--architecture", options.architecture)})
    if (!IsValidName(name))
      return Fail(Code::kUsage,
                  "{}: expected 1 to 29 of A-Z a-z 0-9 . - beginning with a letter or digit, found "
                  "\"{}\"",
                  what, name);
  return {};
}

// A published version must not change: machines may already run it.
Result<> CheckUnpublished(const Repo& repo, const CommitOptions& options) {
  const std::string ref = ReleaseRef(options.architecture, options.version);
  const Result<Digest> commit = repo.ResolveRef(ref);
  if (commit)
    return Fail(Code::kRefused,
                "{}: release {} is there already, as commit {}: give this one another version. If "
                "it was not published, it can be made again after: ostree refs --repo={} --delete "
                "{}",
                repo.path(), options.version, commit->Hex(), repo.path(), ref);
  if (commit.error().code == Code::kNotFound) return {};
  return std::unexpected(commit.error());
}

// The release that this one is laid out after, if any.
Result<std::optional<Commit>> Before(const Repo& repo, const CommitOptions& options) {
  if (options.after.empty()) return std::nullopt;
  const Digest commit =
      TRY_CONTEXT("--after", repo.ResolveRef(ReleaseRef(options.architecture, options.after)));
  return TRY_CONTEXT("--after", repo.ReadCommit(commit));
}

Result<Sealed> SealTree(const Scan& scan, const std::string& image, const std::string& verity,
                        Progress& progress) {
  UniqueFd image_file = TRY(Open(image, O_RDWR | O_CREAT | O_TRUNC, 0644));
  UniqueFd verity_file = TRY(Open(verity, O_RDWR | O_CREAT | O_TRUNC, 0644));
  return Seal(scan.tree, *scan.content, image_file.get(), verity_file.get(),
              [&](uint64_t done, uint64_t total) { progress.Bytes(done, total); });
}

// The rescue that the tree brings for the nodes' ESP, if any. It may be of an older version: a
// rescue that still serves need not be fetched again.
Result<std::optional<RescueImage>> RescueIn(const std::string& tree,
                                            const std::string& architecture,
                                            const std::string& work, Progress& progress) {
  const std::optional<UniqueFd> file = TRY(OpenRescue(tree, work));
  if (!file) return std::nullopt;
  const Uki uki =
      TRY_CONTEXT(tree + std::string(kRescuePath), ReadRescueUki(file->get(), architecture));
  const Copied copied = TRY(CopyContent(file->get(), "/dev/null"));
  progress.Begin("rescue", std::format("{}, {} bytes", uki.version, copied.size));
  return RescueImage{copied.digest, copied.size};
}

}  // namespace

Result<> CheckReleaseTime(uint64_t timestamp, uint64_t now) {
  constexpr uint64_t kEarliest = 315'532'800, kClocksDiffer = 86'400;
  if (timestamp >= kEarliest && timestamp <= now + kClocksDiffer) return {};
  return Fail(
      Code::kUsage,
      "time of the release: expected one from {} to {}, found {}: nodes would refuse it, or "
      "what comes after it",
      FormatTimeIso(kEarliest), FormatTimeIso(now + kClocksDiffer), FormatTimeIso(timestamp));
}

Result<Release> CommitRelease(const CommitOptions& options, Progress& progress) {
  TRY(CheckNames(options));
  const RootTree root = TRY(InspectRootTree(options.tree));
  if (root.image_version != options.version)
    return Fail(Code::kFailed, "{}: expected IMAGE_VERSION={}, found {}", root.os_release,
                options.version, root.image_version);
  const std::vector<SecretKey> keys = TRY(LoadSecretKeys(options.keys, options.passphrase));
  Repo repo = TRY(Repo::CreateArchive(options.repo));
  TRY(CheckUnpublished(repo, options));
  const std::optional<Commit> before = TRY(Before(repo, options));
  progress.Begin("check", options.tree);
  TRY(CheckUpdatable(options.tree));
  TRY(CheckSbom(options.tree, root));
  const WorkDirectory work = TRY(WorkDirectory::Beside(options.repo + "/tmp/hostimage"));
  const Copy image = TRY(Copy::To(options.image_out)), verity = TRY(Copy::To(options.verity_out)),
             uki_copy = TRY(Copy::To(options.uki_out));

  const auto rescue = TRY(RescueIn(options.tree, options.architecture, work.path(), progress));
  progress.Begin("read", options.tree);
  Scan scan = TRY(ScanDirectory(options.tree));
  if (before) scan.tree.starts = TRY(StableLayout(scan.tree, repo, *before));
  TRY(CheckInterrupt());
  progress.Begin("seal", std::format("{} files", scan.tree.files.size()));
  const Sealed sealed = TRY(SealTree(scan, image.place(), verity.place(), progress));

  progress.Begin("kernel", root.kernel_version);
  const std::string command_line = TRY(KernelCommandLine(sealed.root_hash, options.cmdline_append));
  const std::string uki = work / "hostos.efi";
  TRY(BuildUki({.kernel = root.kernel,
                .kernel_version = root.kernel_version,
                .initrd = options.initrd,
                .os_release = root.os_release,
                .stub = options.stub,
                .architecture = options.architecture,
                .command_line = command_line},
               uki));
  const UniqueFd uki_file = TRY(Open(uki, O_RDONLY));
  const Copied copied = TRY(CopyContent(uki_file.get(), uki_copy.place()));

  CommitInput input = {.uki = uki,
                       .release = {.commit = {},
                                   .version = options.version,
                                   .architecture = options.architecture,
                                   .channel = options.channel,
                                   .timestamp = options.timestamp,
                                   .seal_format = scan.tree.starts.empty() ? 1u : 2u,
                                   .root_hash = sealed.root_hash,
                                   .image_size = sealed.size.image,
                                   .verity_size = sealed.size.verity,
                                   .uki_digest = copied.digest,
                                   .uki_size = copied.size,
                                   .rescue = rescue,
                                   .packages = root.packages}};
  TRY(CheckUki(uki_file.get(), input.release));
  progress.Begin("commit", ChannelRef(options.architecture, options.channel));
  TRY(CheckInterrupt());
  TRY(image.Publish());
  TRY(verity.Publish());
  TRY(uki_copy.Publish());
  if (!options.inputs.empty()) {
    const std::string statement = TRY(DescribeBuild(
        {.file = options.inputs, .cmdline_append = options.cmdline_append, .after = options.after},
        input.release));
    const std::string path = options.repo + "/" + ProvenancePath(sealed.root_hash);
    TRY(MakeDirectories(std::filesystem::path(path).parent_path()));
    const std::string envelope = TRY(Envelop(statement, keys));
    TRY(WriteFileAtomically(path, envelope));
  }
  input.release.commit = TRY(CommitTree(repo, scan, input, keys));
  return input.release;
}

}  // namespace hostos

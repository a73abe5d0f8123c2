#include "images/bundle_release.h"

#include <algorithm>
#include <set>
#include <vector>

#include "images/metadata_files.h"
#include "images/publish/bundle_writer.h"
#include "images/work_directory.h"
#include "updater/release/changes.h"
#include "updater/release/commit.h"
#include "updater/release/release_target.h"
#include "updater/source/archive.h"
#include "updater/source/files.h"
#include "updater/source/repo.h"
#include "updater/tuf/client.h"

namespace hostos {
namespace {

// Fetches what a node that has only the oldest root would fetch to find the release. Returns the
// release.
Result<ReleaseTarget> FollowMetadata(Archive& archive, const BundleOptions& options, uint64_t now,
                                     const WorkDirectory& work, std::vector<NotedFile>& found) {
  const std::string root = TRY(OldestRoot(options.repo));
  const std::string first = TRY(archive.Fetch(root, tuf::kRootCap));
  TRY(tuf::Client::Init(work.path(), first));
  found.push_back({root, first});
  NotedFiles noted(archive, found);
  Folder metadata(noted, "metadata/"), targets(noted, "targets/");
  tuf::Client client = TRY(tuf::Client::Refresh(work.path(), metadata, now));
  const auto read = [&](const std::string& path) -> Result<std::string> {
    return client.Fetch(TRY(client.Find(path)), targets);
  };
  TRY(read(ChannelTarget(options.product, options.architecture, options.channel)));
  return ParseReleaseTarget(TRY(read(
      VersionTarget(options.product, options.architecture, options.channel, options.version))));
}

// The names of the objects that the release has and `from` lacks, or of the pack that brings them,
// if there is one; all objects, without a `from`.
Result<std::vector<std::string>> ObjectNamesFor(const ReleaseTarget& release,
                                                const Archive& archive,
                                                const BundleOptions& options) {
  const Repo repo = TRY(Repo::Open(options.repo));
  const Digest& commit = release.commit;
  std::vector<std::string> names = {ObjectPath(commit, "commit"), ObjectPath(commit, "commitmeta")};
  std::set<Digest> present;
  if (!options.from.empty()) {
    const Digest held = TRY(repo.ResolveRef(ReleaseRef(options.architecture, options.from)));
    const Commit from = TRY(repo.ReadCommit(held));
    const std::string pack = PackPath(from.release.root_hash, release.root_hash);
    if (std::ranges::contains(release.packs, from.release.root_hash, &DeltaPack::from) &&
        archive.OpenFile(pack)) {
      names.push_back(pack);
      return names;
    }
    for (const ObjectSize& object : from.sizes) present.insert(object.checksum);
  }
  const Commit to = TRY(repo.ReadCommit(commit));
  for (const ObjectSize& object : to.sizes)
    if (!present.contains(object.checksum)) names.push_back(ObjectPath(object));
  return names;
}

}  // namespace

Result<BundleContent> BundleRelease(const BundleOptions& options, uint64_t now) {
  const WorkDirectory work = TRY(WorkDirectory::Beside(options.output));
  Archive archive = TRY(Archive::Open(options.repo));
  std::vector<NotedFile> found;
  const auto publish_first = [&](Error error) {
    if (error.code == Code::kNotFound)
      error.message += std::format("; publish it first: hostimage publish {} --repo {} --key FILE",
                                   options.version, options.repo);
    return error;
  };
  const ReleaseTarget release = TRY_CONTEXT(
      options.repo,
      FollowMetadata(archive, options, now, work, found).transform_error(publish_first));
  const std::vector<std::string> objects = TRY(ObjectNamesFor(release, archive, options));
  std::vector<std::string> names;
  for (const NotedFile& file : found) names.push_back(file.name);
  names.insert(names.end(), objects.begin(), objects.end());
  // What an update fixes is known before anything of it is taken, also from a bundle.
  const std::string changes = SbomPath(release, kChangesFormat);
  if (std::ranges::contains(release.sboms, kChangesFormat, &SbomFile::format) &&
      archive.OpenFile(changes))
    names.push_back(changes);

  const std::string path = work / "bundle";
  UniqueFd file = TRY(Open(path, O_WRONLY | O_CREAT | O_EXCL, 0644));
  BundleWriter writer(file.get());
  for (const std::string& name : names) {
    const Archive::File content = TRY(archive.OpenFile(name));
    TRY_CONTEXT(path, writer.Add(name, content.fd.get(), content.size));
  }
  TRY_CONTEXT(path, writer.Finish());
  TRY_CONTEXT(path, file.Close());
  TRY(PublishFile(path, options.output));
  return BundleContent{.objects = objects.size(), .bytes = writer.bytes()};
}

}  // namespace hostos

#include "images/bundle_release.h"

#include <algorithm>
#include <set>
#include <vector>

#include "images/work_directory.h"
#include "updater/source/archive.h"
#include "updater/source/release_target.h"
#include "updater/source/repo.h"
#include "updater/tuf/client.h"

namespace hostos {
namespace {

// One folder of the repository, which notes what was there when a client asked for it.
class NotedFolder : public tuf::Fetcher {
 public:
  NotedFolder(Archive& archive, std::string folder, std::vector<std::string>& found)
      : archive_(archive), folder_(std::move(folder)), found_(found) {}
  Result<std::string> Fetch(const std::string& path, size_t cap) override {
    std::string bytes = TRY(archive_.Fetch(folder_ + path, cap));
    found_.push_back(folder_ + path);
    return bytes;
  }

 private:
  Archive& archive_;
  std::string folder_;
  std::vector<std::string>& found_;
};

// What a node that has nothing but the first root asks for, to find the release; the release.
Result<ReleaseTarget> FollowMetadata(Archive& archive, const BundleOptions& options, uint64_t now,
                                     const WorkDirectory& work, std::vector<std::string>& names) {
  const std::string root = "metadata/1.root.json";
  const std::string first = TRY(archive.Fetch(root, tuf::kRootCap));
  TRY(tuf::Client::Init(work.path(), first));
  names.push_back(root);
  NotedFolder metadata(archive, "metadata/", names), targets(archive, "targets/", names);
  tuf::Client client = TRY(tuf::Client::Refresh(work.path(), metadata, now));
  const auto read = [&](const std::string& path) -> Result<std::string> {
    return client.Fetch(TRY(client.Find(path)), targets);
  };
  TRY(read(ChannelTarget(options.product, options.architecture, options.channel)));
  return ParseReleaseTarget(TRY(read(
      VersionTarget(options.product, options.architecture, options.channel, options.version))));
}

Result<std::vector<ObjectSize>> ObjectsOf(const Repo& repo, const Digest& commit) {
  const std::string bytes = TRY(repo.ReadMetadata(ObjectType::kCommit, commit));
  return TRY(ParseCommit(bytes)).sizes;
}

// The names of the objects that the release has and `from`, if there is one, has not.
Result<std::vector<std::string>> ObjectNamesFor(const Digest& commit,
                                                const BundleOptions& options) {
  const Repo repo = TRY(Repo::Open(options.repo));
  std::set<Digest> present;
  if (!options.from.empty()) {
    const Digest from = TRY(repo.ResolveRef(ReleaseRef(options.architecture, options.from)));
    for (const ObjectSize& object : TRY(ObjectsOf(repo, from))) present.insert(object.checksum);
  }
  std::vector<std::string> names = {ObjectPath(commit, "commit"), ObjectPath(commit, "commitmeta")};
  for (const ObjectSize& object : TRY(ObjectsOf(repo, commit)))
    if (!present.contains(object.checksum)) names.push_back(ObjectPath(object));
  return names;
}

}  // namespace

Result<BundleContent> BundleRelease(const BundleOptions& options, uint64_t now) {
  const WorkDirectory work = TRY(WorkDirectory::Beside(options.output));
  Archive archive = TRY(Archive::Open(options.repo));
  std::vector<std::string> names;
  const ReleaseTarget release =
      TRY_CONTEXT(options.repo, FollowMetadata(archive, options, now, work, names));
  const std::vector<std::string> objects = TRY(ObjectNamesFor(release.commit, options));
  names.insert(names.end(), objects.begin(), objects.end());

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

#include "images/publish/publish.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "images/publish/build_commit.h"
#include "images/publish/secret_key.h"
#include "updater/release/objects.h"

namespace hostos {
namespace {

// Adds the objects of a tree that the repository lacks, and records the size of every object.
class ObjectWriter {
 public:
  ObjectWriter(const Repo& repo, Repo::Transaction& transaction)
      : repo_(repo), transaction_(transaction) {}

  // `open` opens the content of a regular file.
  template <class Opener>
  Result<> AddFile(const FileObject& file, Opener open) {
    if (!TRY(repo_.Has(ObjectType::kFile, file.checksum))) {
      UniqueFd content;
      if (S_ISREG(file.metadata.mode)) content = TRY(open());
      TRY(transaction_.WriteFile(file, content.get()));
    }
    uint64_t stored = TRY(repo_.StoredSize(ObjectType::kFile, file.checksum));
    sizes_.push_back({file.checksum, ObjectType::kFile, stored, file.size});
    return {};
  }

  Result<Digest> AddDirmeta(const Directory& directory) {
    return AddMetadata(ObjectType::kDirmeta, SerializeDirmeta(directory.metadata));
  }

  // Adds the dirtree of directory `index`, after everything below it. /boot will hold `uki`.
  Result<Digest> AddDirtree(const Tree& tree, uint32_t index, const Digest& uki) {
    std::vector<DirtreeEntry> entries;
    for (const TreeEntry& entry : tree.directories[index].entries) {
      DirtreeEntry child{
          .name = entry.name, .is_directory = entry.is_directory, .checksum = {}, .dirmeta = {}};
      if (!entry.is_directory) {
        child.checksum = tree.files[entry.index].checksum;
      } else {
        bool is_boot = index == 0 && entry.name == kBootDirectory;
        child.checksum =
            is_boot ? TRY(AddMetadata(
                          ObjectType::kDirtree,
                          SerializeDirtree({{std::string(kUkiFile), false, uki, Digest()}})))
                    : TRY(AddDirtree(tree, entry.index, uki));
        child.dirmeta = TRY(AddDirmeta(tree.directories[entry.index]));
      }
      entries.push_back(std::move(child));
    }
    return AddMetadata(ObjectType::kDirtree, SerializeDirtree(entries));
  }

  // Each object once, because many paths may lead to one object.
  std::vector<ObjectSize> TakeSizes() {
    auto key = [](const ObjectSize& size) { return std::pair(size.checksum, size.type); };
    std::ranges::sort(sizes_, {}, key);
    auto again = std::ranges::unique(sizes_, {}, key);
    sizes_.erase(again.begin(), again.end());
    return std::move(sizes_);
  }

 private:
  Result<Digest> AddMetadata(ObjectType type, const std::string& bytes) {
    Digest checksum = Sha256::Of(AsBytes(bytes));
    if (!TRY(repo_.Has(type, checksum))) {
      TRY(transaction_.WriteMetadata(type, checksum, bytes));
    }
    sizes_.push_back({checksum, type, bytes.size(), bytes.size()});
    return checksum;
  }

  const Repo& repo_;
  Repo::Transaction& transaction_;
  std::vector<ObjectSize> sizes_;
};

// Sealing empties /boot, so it must be empty already, except for the UKI that is added.
Result<> CheckBoot(const Scan& scan) {
  bool has_boot = std::ranges::any_of(scan.tree.directories[0].entries, [](const TreeEntry& entry) {
    return entry.is_directory && entry.name == kBootDirectory;
  });
  if (has_boot && !scan.uki) return {};
  return Fail(Code::kUsage, "expected an empty directory /boot in the tree, found {}",
              scan.uki ? "a UKI in it" : "none");
}

// The UKI on disk as the content object that it becomes: owned by root, mode 0644, no xattrs.
Result<FileObject> UkiObject(int fd, const std::string& path) {
  FileObject uki;
  uki.metadata.mode = S_IFREG | 0644;
  Sha256 hash = StartContentChecksum(uki);
  std::array<std::byte, 64 << 10> buffer;
  while (size_t size = TRY_CONTEXT(path, PreadFull(fd, buffer, uki.size))) {
    hash.Update(std::span(buffer).first(size));
    uki.size += size;
  }
  uki.checksum = hash.Finish();
  return uki;
}

// A published version never becomes another release.
Result<> CheckUnpublished(const Repo& repo, const std::string& ref, const Digest& commit) {
  auto published = repo.ResolveRef(ref);
  if (!published && published.error().code != Code::kNotFound) {
    return std::unexpected(std::move(published.error()));
  }
  if (!published || *published == commit) return {};
  return Fail(Code::kRefused, "{}: {} is already published as commit {}; found another, {}",
              repo.path(), ref, published->Hex(), commit.Hex());
}

Result<> StoreSigned(Repo& repo, Repo::Transaction& transaction, const Digest& checksum,
                     std::string_view bytes, std::span<const SecretKey> keys) {
  TRY(transaction.WriteMetadata(ObjectType::kCommit, checksum, bytes));
  std::vector<Signature> signatures;
  for (const SecretKey& key : keys) signatures.push_back(TRY(key.Sign(bytes)));
  const std::string old = TRY(repo.ReadDetachedMetadata(checksum));
  return repo.WriteDetachedMetadata(checksum, TRY(AddSignatures(old, signatures)));
}

}  // namespace

Result<Digest> CommitTree(Repo& repo, const Scan& scan, const CommitInput& input,
                          std::span<const SecretKey> keys) {
  TRY(CheckBoot(scan));
  Repo::Transaction transaction = TRY(Repo::Transaction::Begin(repo));
  ObjectWriter objects(repo, transaction);
  UniqueFd uki_file = TRY(Open(input.uki, O_RDONLY));
  FileObject uki = TRY(UkiObject(uki_file.get(), input.uki));
  TRY(objects.AddFile(uki, [&]() -> Result<UniqueFd> { return std::move(uki_file); }));
  for (const FileObject& file : scan.tree.files) {
    TRY(objects.AddFile(file, [&] { return scan.content->Open(file); }));
  }
  Commit commit;
  commit.release = input.release;
  commit.root_dirmeta = TRY(objects.AddDirmeta(scan.tree.directories[0]));
  commit.root_dirtree = TRY(objects.AddDirtree(scan.tree, 0, uki.checksum));
  commit.sizes = objects.TakeSizes();
  commit.layout = scan.tree.starts;

  std::string bytes = TRY(BuildCommit(commit));
  Digest checksum = Sha256::Of(AsBytes(bytes));
  std::string release_ref = ReleaseRef(input.release.architecture, input.release.version);
  TRY(CheckUnpublished(repo, release_ref, checksum));
  TRY(StoreSigned(repo, transaction, checksum, bytes, keys));
  transaction.SetRef(ChannelRef(input.release.architecture, input.release.channel), checksum);
  transaction.SetRef(release_ref, checksum);
  TRY(transaction.Commit());
  return checksum;
}

Result<Digest> CommitAgain(Repo& repo, const Commit& commit, std::span<const SecretKey> keys) {
  const std::string bytes = TRY(BuildCommit(commit));
  const Digest checksum = Sha256::Of(AsBytes(bytes));
  Repo::Transaction transaction = TRY(Repo::Transaction::Begin(repo));
  TRY(StoreSigned(repo, transaction, checksum, bytes, keys));
  transaction.SetRef(ChannelRef(commit.release.architecture, commit.release.channel), checksum);
  TRY(transaction.Commit());
  return checksum;
}

}  // namespace hostos

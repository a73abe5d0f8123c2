#include "updater/source/scan.h"

#include <sys/stat.h>

#include <unordered_map>

#include "updater/release/commit.h"
#include "updater/release/objects.h"
#include "updater/source/tree_builder.h"

namespace hostos {
namespace {

class CommitContent : public ContentReader {
 public:
  explicit CommitContent(Repo repo) : repo_(std::move(repo)) {}
  Result<UniqueFd> Open(const FileObject& file) override {
    return repo_.OpenContent(file.checksum);
  }

 private:
  Repo repo_;
};

class CommitWalk {
 public:
  explicit CommitWalk(const Repo& repo) : repo_(repo) {}

  Result<uint32_t> Visit(const Digest& dirtree, const Digest& dirmeta, int depth, bool boot) {
    auto where = [&] { return std::format("dirtree {}", dirtree.Hex()); };
    uint32_t self = builder_.AddDirectory(TRY(Dirmeta(dirmeta)));
    std::string bytes = TRY(repo_.ReadMetadata(ObjectType::kDirtree, dirtree));
    std::vector<DirtreeEntry> entries = TRY_CONTEXT(where(), ParseDirtree(bytes));
    if (depth > 0 && !boot) builder_.AddObject(true, std::move(bytes));
    for (DirtreeEntry& entry : entries) {
      TRY_CONTEXT(where(), builder_.Count(depth));
      if (boot) {
        TRY_CONTEXT(where(), VisitBoot(entry));
        continue;
      }
      uint32_t index = entry.is_directory ? TRY(Visit(entry.checksum, entry.dirmeta, depth + 1,
                                                      depth == 0 && entry.name == kBootDirectory))
                                          : TRY(File(entry.checksum));
      builder_.AddEntry(self, std::move(entry.name), entry.is_directory, index);
    }
    return self;
  }

  Scan Finish() {
    return {builder_.Finish(), std::make_unique<CommitContent>(repo_), std::move(uki_)};
  }

 private:
  Result<> VisitBoot(const DirtreeEntry& entry) {
    FileObject file;
    if (!entry.is_directory) file = TRY(repo_.ReadFileHeader(entry.checksum));
    TRY(CheckUki(entry.name, file));
    uki_ = std::move(file);
    return {};
  }

  Result<Metadata> Dirmeta(const Digest& checksum) {
    auto known = dirmetas_.find(checksum);
    if (known == dirmetas_.end()) {
      std::string bytes = TRY(repo_.ReadMetadata(ObjectType::kDirmeta, checksum));
      Metadata metadata =
          TRY_CONTEXT(std::format("dirmeta {}", checksum.Hex()), ParseDirmeta(bytes));
      builder_.AddObject(false, std::move(bytes));
      known = dirmetas_.emplace(checksum, std::move(metadata)).first;
    }
    return known->second;
  }

  Result<uint32_t> File(const Digest& checksum) {
    if (const uint32_t* index = builder_.FindFile(checksum)) return *index;
    FileObject file = TRY(repo_.ReadFileHeader(checksum));
    TRY_CONTEXT(std::format("file object {}", checksum.Hex()),
                CheckMetadata(file.metadata, file.metadata.mode & S_IFMT));
    return builder_.AddFile(std::move(file));
  }

  const Repo& repo_;
  TreeBuilder builder_;
  std::unordered_map<Digest, Metadata> dirmetas_;
  std::optional<FileObject> uki_;
};

}  // namespace

Result<> CheckUki(const std::string& name, const FileObject& file) {
  if (name == kUkiFile && S_ISREG(file.metadata.mode)) return {};
  return Fail(Code::kNotSupported, "/{}: expected nothing but the file {}, found '{}'",
              kBootDirectory, kUkiFile, name);
}

Result<Scan> ScanCommit(const Repo& repo, const Commit& commit) {
  CommitWalk walk(repo);
  TRY_CONTEXT("commit " + commit.release.commit.Hex(),
              walk.Visit(commit.root_dirtree, commit.root_dirmeta, 0, false));
  Scan scan = walk.Finish();
  scan.tree.starts = commit.layout;
  return scan;
}

}  // namespace hostos

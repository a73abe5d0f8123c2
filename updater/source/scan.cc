#include "updater/source/scan.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "updater/source/objects.h"

namespace hostos {
namespace {

constexpr int kMaxDepth = 64;
constexpr uint64_t kMaxEntries = 1'000'000;

// Collects what both walks find, in the one order that both keep.
class Builder {
 public:
  // Counts an entry of a directory at `depth` (the root is 0).
  Result<> Count(int depth) {
    if (depth >= kMaxDepth) {
      return Fail(Code::kNotTrusted, "expected at most {} levels of directories", kMaxDepth);
    }
    if (++entries_ > kMaxEntries) {
      return Fail(Code::kNotTrusted, "expected at most {} files and directories", kMaxEntries);
    }
    return {};
  }

  uint32_t AddDirectory(Metadata metadata) {
    tree_.directories.push_back({.metadata = std::move(metadata), .entries = {}});
    return static_cast<uint32_t>(tree_.directories.size() - 1);
  }

  void AddEntry(uint32_t directory, std::string name, bool is_directory, uint32_t index) {
    tree_.directories[directory].entries.push_back({std::move(name), is_directory, index});
  }

  const uint32_t* FindFile(const Digest& checksum) const {
    auto file = files_.find(checksum);
    return file == files_.end() ? nullptr : &file->second;
  }

  uint32_t AddFile(FileObject file) {
    auto [place, added] =
        files_.try_emplace(file.checksum, static_cast<uint32_t>(tree_.files.size()));
    if (added) tree_.files.push_back(std::move(file));
    return place->second;
  }

  // A dirtree or dirmeta that the embedded object store will hold.
  Digest AddObject(bool is_dirtree, std::string bytes) {
    Digest checksum = Sha256::Of(AsBytes(bytes));
    if (objects_.insert(checksum).second) {
      tree_.metadata.push_back({checksum, is_dirtree, std::move(bytes)});
    }
    return checksum;
  }

  Tree Finish() {
    std::ranges::sort(tree_.metadata, {}, &MetadataObject::checksum);
    return std::move(tree_);
  }

 private:
  Tree tree_;
  std::unordered_map<Digest, uint32_t> files_;
  std::set<Digest> objects_;
  uint64_t entries_ = 0;
};

// /boot may hold the UKI, a regular file, and nothing else.
Result<> CheckUki(const std::string& name, const FileObject& file) {
  if (name == kUkiFile && S_ISREG(file.metadata.mode)) return {};
  return Fail(Code::kNotSupported, "/{}: expected nothing but the file {}, found '{}'",
              kBootDirectory, kUkiFile, name);
}

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
  Builder builder_;
  std::unordered_map<Digest, Metadata> dirmetas_;
  std::optional<FileObject> uki_;
};

// Opens a content object at the first path that led to it.
class DirectoryContent : public ContentReader {
 public:
  DirectoryContent(UniqueFd root, std::unordered_map<Digest, std::string> paths)
      : root_(std::move(root)), paths_(std::move(paths)) {}

  Result<UniqueFd> Open(const FileObject& file) override {
    auto path = paths_.find(file.checksum);
    if (path == paths_.end()) {
      return Fail(Code::kNotFound, "content object {} is not of this tree", file.checksum.Hex());
    }
    return OpenAt(root_.get(), path->second, O_RDONLY | O_NOFOLLOW);
  }

 private:
  UniqueFd root_;
  std::unordered_map<Digest, std::string> paths_;
};

Result<std::vector<std::string>> SortedNames(int directory) {
  UniqueFd own = TRY(OpenAt(directory, ".", O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, decltype([](DIR* dir) { ::closedir(dir); })> stream(::fdopendir(own.get()));
  if (!stream) return FailErrno("reading a directory");
  (void)own.release();  // the stream closes it
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return FailErrno("reading a directory");
  std::ranges::sort(names);
  return names;
}

class DirectoryWalk {
 public:
  struct Visited {
    uint32_t index = 0;
    Digest dirtree;
    Digest dirmeta;
  };

  explicit DirectoryWalk(UniqueFd root) : root_(std::move(root)) {}

  Result<Visited> VisitRoot() { return Visit(root_.get(), ".", "", 0, false); }

  Scan Finish() {
    return {builder_.Finish(),
            std::make_unique<DirectoryContent>(std::move(root_), std::move(paths_)),
            std::move(uki_)};
  }

 private:
  // `path` is the directory's, from the root and with a closing slash.
  Result<Visited> Visit(int parent, const std::string& name, const std::string& path, int depth,
                        bool boot) {
    auto where = [&] { return "/" + path; };
    Metadata metadata = TRY_CONTEXT(where(), ReadDiskMetadata(parent, name));
    TRY_CONTEXT(where(), CheckMetadata(metadata, S_IFDIR));
    Visited self;
    self.dirmeta = builder_.AddObject(false, SerializeDirmeta(metadata));
    self.index = builder_.AddDirectory(std::move(metadata));
    UniqueFd directory = TRY_CONTEXT(where(), OpenAt(parent, name, O_RDONLY | O_DIRECTORY));
    std::vector<DirtreeEntry> entries;
    for (std::string& child : TRY_CONTEXT(where(), SortedNames(directory.get()))) {
      TRY_CONTEXT(where(), CheckName(child));
      TRY_CONTEXT(where(), builder_.Count(depth));
      struct stat status;
      if (::fstatat(directory.get(), child.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) {
        return FailErrno("/" + path + child);
      }
      DirtreeEntry entry{
          .name = child, .is_directory = S_ISDIR(status.st_mode), .checksum = {}, .dirmeta = {}};
      if (boot) {
        TRY(VisitBoot(directory.get(), entry, path + child));
        continue;
      }
      uint32_t index = 0;
      if (entry.is_directory) {
        Visited visited = TRY(Visit(directory.get(), child, path + child + "/", depth + 1,
                                    depth == 0 && child == kBootDirectory));
        entry.checksum = visited.dirtree;
        entry.dirmeta = visited.dirmeta;
        index = visited.index;
      } else {
        index = TRY(File(directory.get(), child, path + child, status, entry.checksum));
      }
      builder_.AddEntry(self.index, std::move(child), entry.is_directory, index);
      entries.push_back(std::move(entry));
    }
    // The root's dirtree and that of /boot, which depend on the seal, are nobody's to know.
    if (depth > 0 && !boot) self.dirtree = builder_.AddObject(true, SerializeDirtree(entries));
    return self;
  }

  Result<> VisitBoot(int directory, const DirtreeEntry& entry, const std::string& path) {
    FileObject file;
    if (!entry.is_directory) {
      file = TRY_CONTEXT("/" + path, ReadDiskFile(directory, entry.name));
    }
    TRY(CheckUki(entry.name, file));
    paths_.try_emplace(file.checksum, path);
    uki_ = std::move(file);
    return {};
  }

  Result<uint32_t> File(int directory, const std::string& name, const std::string& path,
                        const struct stat& status, Digest& checksum) {
    auto inode = std::pair(status.st_dev, status.st_ino);
    if (status.st_nlink > 1) {
      if (auto known = links_.find(inode); known != links_.end()) {
        checksum = known->second;
        return *builder_.FindFile(checksum);
      }
    }
    FileObject file = TRY_CONTEXT("/" + path, ReadDiskFile(directory, name));
    TRY_CONTEXT("/" + path, CheckMetadata(file.metadata, file.metadata.mode & S_IFMT));
    checksum = file.checksum;
    if (status.st_nlink > 1) links_.emplace(inode, checksum);
    paths_.try_emplace(checksum, path);
    return builder_.AddFile(std::move(file));
  }

  UniqueFd root_;
  Builder builder_;
  std::map<std::pair<dev_t, ino_t>, Digest> links_;  // hard links are hashed once
  std::unordered_map<Digest, std::string> paths_;    // without the leading slash
  std::optional<FileObject> uki_;
};

}  // namespace

Result<Scan> ScanCommit(const Repo& repo, const Digest& checksum) {
  auto context = [&] { return std::format("commit {}", checksum.Hex()); };
  std::string bytes = TRY_CONTEXT(context(), repo.ReadMetadata(ObjectType::kCommit, checksum));
  Commit commit = TRY_CONTEXT(context(), ParseCommit(bytes));
  CommitWalk walk(repo);
  TRY_CONTEXT(context(), walk.Visit(commit.root_dirtree, commit.root_dirmeta, 0, false));
  return walk.Finish();
}

Result<Scan> ScanDirectory(const std::string& path) {
  DirectoryWalk walk(TRY(Open(path, O_RDONLY | O_DIRECTORY)));
  TRY_CONTEXT(path, walk.VisitRoot());
  return walk.Finish();
}

}  // namespace hostos

#include "images/publish/scan_directory.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "updater/release/objects.h"
#include "updater/source/tree_builder.h"

namespace hostos {
namespace {

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
  // `path` leads from the root to the directory and ends with a slash.
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
    // The dirtrees of the root and of /boot depend on the seal, so they are not part of the tree.
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
  TreeBuilder builder_;
  std::map<std::pair<dev_t, ino_t>, Digest> links_;  // hard links are hashed once
  std::unordered_map<Digest, std::string> paths_;    // without the leading slash
  std::optional<FileObject> uki_;
};

}  // namespace

Result<Scan> ScanDirectory(const std::string& path) {
  DirectoryWalk walk(TRY(Open(path, O_RDONLY | O_DIRECTORY)));
  TRY_CONTEXT(path, walk.VisitRoot());
  return walk.Finish();
}

}  // namespace hostos

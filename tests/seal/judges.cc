#include "tests/seal/judges.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <format>
#include <fstream>
#include <stdexcept>

namespace hostos {
namespace {

std::vector<std::string> NamesIn(const std::string& path) {
  std::vector<std::string> names;
  DIR* directory = ::opendir(path.c_str());
  REQUIRE(directory);
  while (const dirent* entry = ::readdir(directory))
    if (std::string name = entry->d_name; name != "." && name != "..") names.push_back(name);
  ::closedir(directory);
  std::ranges::sort(names);
  return names;
}

std::vector<Xattr> XattrsOf(const std::string& path) {
  std::string names(1 << 16, '\0');
  ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
  REQUIRE(size >= 0);
  std::vector<Xattr> xattrs;
  for (const char* name = names.data(); name < names.data() + size;) {
    std::string value(1 << 16, '\0');
    ssize_t n = ::lgetxattr(path.c_str(), name, value.data(), value.size());
    INFO(name);
    REQUIRE(n >= 0);
    value.resize(static_cast<size_t>(n));
    xattrs.push_back({name, value});
    name += xattrs.back().name.size() + 1;
  }
  std::ranges::sort(xattrs);
  return xattrs;
}

std::string ContentOf(int fd) {
  std::string text, piece(1 << 16, '\0');
  for (;;) {
    size_t n = ReadFull(fd, std::as_writable_bytes(std::span(piece))).value();
    if (n == 0) return text;
    text.append(piece, 0, n);
  }
}

class Comparison {
 public:
  Comparison(const Tree& tree, ContentReader& content, const std::string& root)
      : tree_(tree), content_(content), store_(root + "/ostree/repo/objects/") {
    links_.assign(tree.files.size(), 1);  // the object store's
    CountLinks(0, /*top=*/true);
  }

  void CheckDirectory(uint32_t index, const std::string& path, bool top, bool emptied) {
    const Directory& directory = tree_.directories[index];
    std::vector<std::string> names;
    uint32_t subdirectories = 0;
    for (const TreeEntry& entry : directory.entries) {
      if (emptied) break;
      names.push_back(entry.name);
      subdirectories += entry.is_directory;
      std::string child = path + "/" + entry.name;
      if (entry.is_directory)
        CheckDirectory(entry.index, child, false, top && entry.name == "boot");
      else
        CheckFile(entry.index, child);
    }
    INFO(path);
    if (top && !std::ranges::binary_search(names, "ostree")) {
      names.insert(std::ranges::lower_bound(names, "ostree"), "ostree");
      subdirectories++;
    }
    CHECK(NamesIn(path) == names);
    struct stat status = CheckMetadata(directory.metadata, path);
    CHECK(status.st_nlink == 2 + subdirectories);
  }

 private:
  void CountLinks(uint32_t index, bool top) {
    for (const TreeEntry& entry : tree_.directories[index].entries) {
      if (!entry.is_directory) links_[entry.index]++;
      if (entry.is_directory && !(top && entry.name == "boot")) CountLinks(entry.index, false);
    }
  }

  struct stat CheckMetadata(const Metadata& metadata, const std::string& path) {
    INFO(path);
    struct stat status{};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    CHECK(status.st_mode == metadata.mode);
    CHECK(status.st_uid == metadata.uid);
    CHECK(status.st_gid == metadata.gid);
    CHECK(status.st_mtim.tv_sec == 0);
    CHECK(status.st_mtim.tv_nsec == 0);
    CHECK(XattrsOf(path) == metadata.xattrs);
    return status;
  }

  void CheckFile(uint32_t index, const std::string& path) {
    INFO(path);
    const FileObject& file = tree_.files[index];
    struct stat status = CheckMetadata(file.metadata, path);
    CHECK(status.st_nlink == links_[index]);
    CHECK(static_cast<uint64_t>(status.st_size) == file.size);
    if (S_ISLNK(file.metadata.mode)) {
      CHECK(std::filesystem::read_symlink(path).string() == file.target);
    } else {
      UniqueFd expected = content_.Open(file).value(), found = Open(path, O_RDONLY).value();
      CHECK((ContentOf(expected.get()) == ContentOf(found.get())));
    }
    std::string object = file.checksum.Hex();
    std::string stored = store_ + object.substr(0, 2) + "/" + object.substr(2) + ".file";
    struct stat other{};
    REQUIRE(::lstat(stored.c_str(), &other) == 0);
    CHECK(other.st_ino == status.st_ino);
  }

  const Tree& tree_;
  ContentReader& content_;
  std::vector<nlink_t> links_;
  std::string store_;
};

}  // namespace

SealedFiles SealInto(const TempDir& directory, const std::string& name, const Tree& tree,
                     ContentReader& content) {
  SealedFiles files{directory / (name + ".erofs"), directory / (name + ".verity"), {}};
  UniqueFd image = Open(files.image, O_RDWR | O_CREAT | O_TRUNC, 0600).value();
  UniqueFd verity = Open(files.verity, O_RDWR | O_CREAT | O_TRUNC, 0600).value();
  Result<Sealed> sealed = Seal(tree, content, image.get(), verity.get(), {});
  if (!sealed) throw std::runtime_error(sealed.error().message);
  files.sealed = *sealed;
  return files;
}

std::string NoMountReason() {
  if (::geteuid() != 0) return "mounting takes root";
  if (::access("/dev/loop-control", F_OK) != 0) return "this kernel has no loop devices";
  std::ifstream list("/proc/filesystems");
  for (std::string word; list >> word;)
    if (word == "erofs") return "";
  return "this kernel has no erofs";
}

Mount::Mount(const std::string& image) {
  CommandResult result = Shell(std::format("mount -t erofs -o {} {} {}",
                                           std::filesystem::is_block_file(image) ? "ro" : "ro,loop",
                                           image, point_.path()));
  INFO(result.output);
  REQUIRE(result.status == 0);
}

Mount::~Mount() {
  (void)Shell("umount " + point_.path());
}  // a leftover shows in the next REQUIRE

void CheckSameTree(const Tree& tree, ContentReader& content, const std::string& root) {
  Comparison(tree, content, root).CheckDirectory(0, root, /*top=*/true, /*emptied=*/false);
}

}  // namespace hostos

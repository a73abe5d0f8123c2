#include "tests/node/medium.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <filesystem>
#include <set>
#include <stdexcept>

#include "tests/text_file.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFileCap = 64 << 20;

struct stat StatusOf(int fd) {
  struct stat status;
  if (::fstat(fd, &status) < 0) throw std::runtime_error("fstat");
  return status;
}

std::string PathOf(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

// Absent for anything but a file or a directory.
UniqueFd OpenNode(const std::string& path) {
  return Open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).value_or(UniqueFd());
}

std::set<std::string> NamesIn(const std::string& directory) {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory))
    names.insert(entry.path().filename());
  return names;
}

// The whole content, whether or not the file has a name.
std::string ContentOf(int fd) {
  return ReadFile(PathOf(fd), kFileCap).value();
}

// Copies the file to a new name, with its mode and attributes.
void Copy(int fd, const std::string& path) {
  WriteText(path, ContentOf(fd), StatusOf(fd).st_mode & 07777);
  char names[4096];
  const ssize_t size = ::flistxattr(fd, names, sizeof names);
  for (ssize_t at = 0; at < size; at += static_cast<ssize_t>(std::string(names + at).size()) + 1) {
    char value[4096];
    const ssize_t length = ::fgetxattr(fd, names + at, value, sizeof value);
    if (length < 0 ||
        ::setxattr(path.c_str(), names + at, value, static_cast<size_t>(length), 0) < 0)
      throw std::runtime_error("copy attributes to " + path);
  }
}

// The content of a file after the cut.
std::string Left(const std::string& now, const std::optional<std::string>& synced,
                 Cut::Contents contents) {
  if (contents == Cut::kLost) return synced.value_or("");
  std::string torn = now.substr(0, now.size() / 2);
  if (synced && synced->size() > torn.size()) torn += synced->substr(torn.size());
  return torn;
}

// Keeps mode and attributes.
void Overwrite(const std::string& path, const std::string& content) {
  const UniqueFd fd = Open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW).value();
  WriteFull(fd.get(), AsBytes(content)).value();
}

}  // namespace

Medium::Medium(const std::string& root, const std::vector<std::string>& volumes) {
  for (const std::string& volume : volumes) {
    volumes_.push_back(root + volume);
    SyncTree(volumes_.back());
  }
}

const std::string* Medium::VolumeOf(const std::string& path) const {
  for (const std::string& volume : volumes_)
    if (path == volume || path.starts_with(volume + "/")) return &volume;
  return nullptr;
}

std::shared_ptr<Medium::Node> Medium::Find(UniqueFd fd) {
  std::shared_ptr<Node>& node = nodes_[StatusOf(fd.get()).st_ino];
  if (!node) node = std::make_shared<Node>(std::move(fd));
  return node;
}

void Medium::Sync(int fd, const std::string& path) {
  if (VolumeOf(path)) Sync(*Find(Open(PathOf(fd), O_RDONLY).value()));
}

void Medium::SyncVolume(const std::string& path) {
  if (const std::string* volume = VolumeOf(path)) SyncTree(*volume);
}

void Medium::Sync(Node& node) {
  if (!S_ISDIR(StatusOf(node.fd.get()).st_mode)) {
    node.content = ContentOf(node.fd.get());
    return;
  }
  const std::string path = PathOf(node.fd.get());
  node.names.clear();
  for (const std::string& name : NamesIn(path))
    if (UniqueFd fd = OpenNode(path + "/" + name)) node.names[name] = Find(std::move(fd));
}

void Medium::SyncTree(const std::string& directory) {
  Sync(*Find(OpenNode(directory)));
  for (const std::string& name : NamesIn(directory)) {
    const std::string path = directory + "/" + name;
    if (fs::is_directory(fs::symlink_status(path)))
      SyncTree(path);
    else if (UniqueFd fd = OpenNode(path))
      Sync(*Find(std::move(fd)));
  }
}

void Medium::Lose(const Cut& cut) {
  for (const std::string& volume : volumes_) LoseIn(*Find(OpenNode(volume)), volume, cut);
}

void Medium::LoseNames(const Node& directory, const std::string& path) {
  for (const std::string& name : NamesIn(path)) {
    const UniqueFd now = OpenNode(path + "/" + name);
    const auto synced = directory.names.find(name);
    if (!now || synced == directory.names.end() ||
        StatusOf(synced->second->fd.get()).st_ino != StatusOf(now.get()).st_ino)
      fs::remove_all(path + "/" + name);
  }
  for (const auto& [name, node] : directory.names) {
    const std::string file = path + "/" + name;
    if (fs::exists(file)) continue;
    if (S_ISDIR(StatusOf(node->fd.get()).st_mode))
      fs::create_directory(file);
    else
      Copy(node->fd.get(), file);
  }
}

void Medium::LoseIn(const Node& directory, const std::string& path, const Cut& cut) {
  if (cut.names_lost) LoseNames(directory, path);
  for (const std::string& name : NamesIn(path)) {
    const std::string file = path + "/" + name;
    UniqueFd fd = OpenNode(file);
    if (!fd) continue;
    // Under a name that was removed and created again there is another inode.
    const auto synced = directory.names.find(name);
    const Node& node =
        cut.names_lost && synced != directory.names.end() ? *synced->second : *Find(std::move(fd));
    if (fs::is_directory(file)) {
      LoseIn(node, file, cut);
    } else if (cut.contents != Cut::kKept) {
      const std::string now = ContentOf(node.fd.get());
      if (node.content != now) Overwrite(file, Left(now, node.content, cut.contents));
    }
  }
}

}  // namespace hostos

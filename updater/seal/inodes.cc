#include "updater/seal/inodes.h"

#include <algorithm>
#include <array>
#include <format>
#include <utility>

#include "updater/seal/directory.h"

namespace hostos::erofs {
namespace {

const Metadata kStoreDirectoryMetadata{.mode = S_IFDIR | 0755, .xattrs = {}};
const Metadata kStoreFileMetadata{.mode = S_IFREG | 0644, .xattrs = {}};

constexpr size_t kMaxLink = 4095;  // PATH_MAX without its terminator

Result<> CheckName(std::string_view name, std::string_view previous) {
  if (name.empty() || name.size() > 255 || name == "." || name == ".." ||
      name.find('/') != name.npos || name.find('\0') != name.npos)
    return Fail(Code::kFailed, "expected a name of 1 to 255 bytes, found \"{}\" ({} bytes)",
                name.substr(0, 300), name.size());
  if (name <= previous)
    return Fail(Code::kFailed, "expected names in order and each once, found \"{}\" after \"{}\"",
                name, previous);
  return {};
}

Result<> CheckMode(uint32_t mode, std::initializer_list<mode_t> types) {
  if (mode > 0xFFFF || std::ranges::find(types, mode & S_IFMT) == types.end())
    return Fail(Code::kNotSupported,
                "expected a regular file, a directory or a symbolic link, found mode {:o}", mode);
  return {};
}

Result<> CheckFile(const FileObject& file) {
  TRY(CheckMode(file.metadata.mode, {S_IFREG, S_IFLNK}));
  if (!S_ISLNK(file.metadata.mode)) return {};
  if (file.target.empty() || file.target.size() > kMaxLink ||
      file.target.find('\0') != file.target.npos)
    return Fail(Code::kNotSupported, "expected a link target of 1 to {} bytes, found {}", kMaxLink,
                file.target.size());
  if (file.size != file.target.size())
    return Fail(Code::kFailed, "expected a size of {}, the link's target, found {}",
                file.target.size(), file.size);
  return {};
}

// Sorted, because they are part of the names and so of their order.
constexpr std::string_view kExtensions[] = {".dirmeta", ".dirtree", ".file"};

// "000102...ff": the names of the fanout directories.
constexpr auto kFanoutNames = [] {
  std::array<char, 512> names{};
  for (size_t i = 0; i < names.size(); i++)
    names[i] = "0123456789abcdef"[i % 2 ? i / 2 % 16 : i / 32];
  return names;
}();

}  // namespace

Result<Inodes> Inodes::Of(const Tree& tree) {
  Inodes inodes(tree);
  TRY(inodes.AddTree());
  TRY(inodes.AddStore());
  for (uint32_t i = 0; i < inodes.inodes_.size(); i++)
    if (inodes.inodes_[i].is_directory()) inodes.inodes_[i].size = DirectorySize(inodes.List(i));
  return inodes;
}

// Breadth first: the entries of one directory lie together in the image.
Result<> Inodes::AddTree() {
  if (tree_->directories.empty()) return Fail(Code::kFailed, "the tree has no root directory");
  directory_inode_.assign(tree_->directories.size(), kNone);
  file_inode_.assign(tree_->files.size(), kNone);
  TRY_CONTEXT("/", AddDirectory(0, "", 0));
  for (uint32_t i = 0; i < inodes_.size(); i++)
    if (inodes_[i].kind == Inode::Kind::kDirectory && i != boot_)
      TRY_CONTEXT(PathOf(i), AddEntries(i));
  return {};
}

Result<> Inodes::AddEntries(uint32_t directory) {
  std::string_view previous;
  for (const TreeEntry& entry : tree_->directories[inodes_[directory].index].entries) {
    TRY(CheckName(entry.name, previous));
    previous = entry.name;
    size_t known = entry.is_directory ? tree_->directories.size() : tree_->files.size();
    if (entry.index >= known)
      return Fail(Code::kFailed, "{}: expected an index below {}, found {}", entry.name, known,
                  entry.index);
    if (directory == 0) TRY_CONTEXT(entry.name, CheckTopLevel(entry));
    if (directory == 0 && entry.name == "boot") boot_ = static_cast<uint32_t>(inodes_.size());
    if (directory == 0 && entry.name == "ostree") ostree_ = static_cast<uint32_t>(inodes_.size());
    TRY_CONTEXT(entry.name, entry.is_directory ? AddDirectory(directory, entry.name, entry.index)
                                               : AddFile(directory, entry.name, entry.index));
  }
  return {};
}

Result<> Inodes::CheckTopLevel(const TreeEntry& entry) const {
  if (entry.name == "boot" && !entry.is_directory)
    return Fail(Code::kFailed, "expected a directory, whose content the image leaves out");
  if (entry.name == "ostree" &&
      !(entry.is_directory && tree_->directories[entry.index].entries.empty()))
    return Fail(Code::kFailed,
                "expected nothing or an empty directory, where the image has its object store; "
                "remove it from the tree");
  return {};
}

Result<> Inodes::AddDirectory(uint32_t parent, std::string_view name, uint32_t index) {
  const Metadata& metadata = tree_->directories[index].metadata;
  TRY(CheckMode(metadata.mode, {S_IFDIR}));
  if (directory_inode_[index] != kNone)
    return Fail(Code::kFailed, "expected every directory once, found {} here again",
                PathOf(directory_inode_[index]));
  directory_inode_[index] = static_cast<uint32_t>(inodes_.size());
  if (!inodes_.empty()) inodes_[parent].nlink++;
  inodes_.push_back({.kind = Inode::Kind::kDirectory,
                     .index = index,
                     .parent = parent,
                     .nlink = 2,
                     .metadata = &metadata,
                     .name = name});
  return {};
}

Result<> Inodes::AddFile(uint32_t parent, std::string_view name, uint32_t index) {
  const FileObject& file = tree_->files[index];
  if (file_inode_[index] != kNone) {
    inodes_[file_inode_[index]].nlink++;
    return {};
  }
  TRY(CheckFile(file));
  file_inode_[index] = static_cast<uint32_t>(inodes_.size());
  inodes_.push_back({.kind = Inode::Kind::kFile,
                     .index = index,
                     .parent = parent,
                     .nlink = 1,
                     .size = file.size,
                     .metadata = &file.metadata,
                     .name = name});
  return {};
}

// Adds what libostree needs to open a bare repository read-only, also as a parent.
Result<> Inodes::AddStore() {
  if (ostree_ == kNone) ostree_ = AddStoreDirectory(0, "ostree");
  uint32_t repo = AddStoreDirectory(ostree_, "repo");
  AddToStore(
      repo, "config",
      {.kind = Inode::Kind::kConfig, .size = kStoreConfig.size(), .metadata = &kStoreFileMetadata});
  AddStoreDirectory(repo, "extensions");
  uint32_t objects = AddStoreDirectory(repo, "objects");
  uint32_t refs = AddStoreDirectory(repo, "refs");
  for (std::string_view name : {"heads", "mirrors", "remotes"}) AddStoreDirectory(refs, name);
  AddStoreDirectory(repo, "state");
  AddStoreDirectory(repo, "tmp");
  return AddObjects(objects);
}

Result<> Inodes::AddObjects(uint32_t objects) {
  for (uint32_t i = 0; i < inodes_.size(); i++)
    if (inodes_[i].kind == Inode::Kind::kFile)
      objects_.push_back({&tree_->files[inodes_[i].index].checksum, 2, i});
  const size_t files = objects_.size();
  for (const MetadataObject& object : tree_->metadata)
    objects_.push_back({&object.checksum, object.is_dirtree, 0});

  // Holds the object's index for now; inodes are made later, in the order of the names.
  for (size_t i = files; i < objects_.size(); i++)
    objects_[i].inode = static_cast<uint32_t>(i - files);
  auto key = [](const Object& object) { return std::pair(*object.checksum, object.extension); };
  std::ranges::sort(objects_, {}, key);
  if (auto twice = std::ranges::adjacent_find(objects_, {}, key); twice != objects_.end())
    return Fail(Code::kFailed, "object {}{}: expected every object once, found it again",
                twice->checksum->Hex(), kExtensions[twice->extension]);

  int fanout = -1;
  for (Object& object : objects_) {
    if (uint8_t first = object.checksum->bytes[0]; first != fanout) {
      fanout = first;
      std::string_view name(&kFanoutNames[2 * first], 2);
      AddToStore(objects, name,
                 {.kind = Inode::Kind::kFanout,
                  .index = first,
                  .nlink = 2,
                  .metadata = &kStoreDirectoryMetadata});
    }
    if (object.extension == 2) {
      inodes_[object.inode].nlink++;
      continue;
    }
    uint32_t index = std::exchange(object.inode, static_cast<uint32_t>(inodes_.size()));
    inodes_.push_back({.kind = Inode::Kind::kMetadata,
                       .index = index,
                       .parent = objects,
                       .size = tree_->metadata[index].bytes.size(),
                       .metadata = &kStoreFileMetadata});
  }
  return {};
}

uint32_t Inodes::AddToStore(uint32_t parent, std::string_view name, Inode inode) {
  auto number = static_cast<uint32_t>(inodes_.size());
  inode.parent = parent;
  inode.name = name;
  if (inode.is_directory()) inodes_[parent].nlink++;
  inodes_.push_back(inode);
  added_.push_back({parent, name, number});
  return number;
}

uint32_t Inodes::AddStoreDirectory(uint32_t parent, std::string_view name) {
  return AddToStore(
      parent, name,
      {.kind = Inode::Kind::kStoreDirectory, .nlink = 2, .metadata = &kStoreDirectoryMetadata});
}

Listing Inodes::List(uint32_t directory) const {
  const Inode& inode = inodes_[directory];
  Listing listing;
  listing.children = {{".", directory}, {"..", inode.parent}};
  if (inode.kind == Inode::Kind::kDirectory && directory != boot_) {
    const Directory& source = tree_->directories[inode.index];
    listing.children.reserve(source.entries.size() + 3);
    for (const TreeEntry& entry : source.entries)
      listing.children.push_back(
          {entry.name, (entry.is_directory ? directory_inode_ : file_inode_)[entry.index]});
  }
  if (inode.kind == Inode::Kind::kFanout) ListObjects(static_cast<uint8_t>(inode.index), listing);
  for (const Added& added : added_)
    if (added.directory == directory) listing.children.push_back({added.name, added.inode});
  std::ranges::sort(listing.children, {}, &Listing::Child::name);
  return listing;
}

void Inodes::ListObjects(uint8_t fanout, Listing& listing) const {
  auto objects = std::ranges::equal_range(
      objects_, fanout, {}, [](const Object& object) { return object.checksum->bytes[0]; });
  constexpr size_t kLongest = 62 + 8;
  listing.names.reserve(objects.size() * kLongest);  // must not reallocate: the views point into it
  for (const Object& object : objects) {
    size_t start = listing.names.size();
    listing.names.append(object.checksum->Hex(), 2).append(kExtensions[object.extension]);
    listing.children.push_back({std::string_view(listing.names).substr(start), object.inode});
  }
}

std::string Inodes::PathOf(uint32_t inode) const {
  std::string path;
  for (; inode != 0; inode = inodes_[inode].parent)
    path.insert(0, std::format("/{}", inodes_[inode].name));
  return path.empty() ? "/" : path;
}

}  // namespace hostos::erofs

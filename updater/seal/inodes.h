// The inodes of a sealed image and the listing of every directory: the release's tree with /boot
// emptied, and the OSTree object store embedded at /ostree/repo, whose file objects are hard links
// to the tree's own files. docs/seal-format.md describes it in words.
//
// The order of the inodes depends only on the names in the tree, never on the order in which files
// and directories were read.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/result.h"
#include "updater/base/tree.h"

namespace hostos::erofs {

constexpr std::string_view kStoreConfig = "[core]\nrepo_version=1\nmode=bare\n";

struct Inode {
  enum class Kind : uint8_t {
    kDirectory,       // index into Tree::directories
    kStoreDirectory,  // a directory of the store, lists only what was added to it
    kFanout,          // objects/xx; index is xx
    kFile,            // a regular file or a link, index into Tree::files
    kMetadata,        // a metadata object, index into Tree::metadata
    kConfig,          // the store's config file
  };
  Kind kind;
  uint32_t index = 0;
  uint32_t parent = 0;  // the directory that listed it first
  uint32_t nlink = 1;
  uint64_t size = 0;
  const Metadata* metadata = nullptr;
  std::string_view name = {};  // in `parent`

  bool is_directory() const { return S_ISDIR(metadata->mode); }
  bool is_link() const { return S_ISLNK(metadata->mode); }
};

// The entries of a directory, sorted by name, with "." and "..".
struct Listing {
  struct Child {
    std::string_view name;
    uint32_t inode;
  };
  std::vector<Child> children;
  std::string names;  // backs the names that no tree has
};

class Inodes {
 public:
  // Checks everything about the tree that needs no file content; errors name the path. `tree` must
  // outlive the result.
  static Result<Inodes> Of(const Tree& tree);

  const Tree& tree() const { return *tree_; }
  std::span<const Inode> all() const { return inodes_; }  // [0] is the root
  Listing List(uint32_t directory) const;
  // "/usr/bin/env", for messages.
  std::string PathOf(uint32_t inode) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Added {  // a directory entry that no tree has
    uint32_t directory;
    std::string_view name;
    uint32_t inode;
  };
  struct Object {
    const Digest* checksum;
    uint8_t extension;
    uint32_t inode;
  };

  explicit Inodes(const Tree& tree) : tree_(&tree) {}
  Result<> AddTree();
  Result<> AddEntries(uint32_t directory);
  Result<> CheckTopLevel(const TreeEntry& entry) const;
  Result<> AddDirectory(uint32_t parent, std::string_view name, uint32_t index);
  Result<> AddFile(uint32_t parent, std::string_view name, uint32_t index);
  Result<> AddStore();
  Result<> AddObjects(uint32_t objects);
  uint32_t AddToStore(uint32_t parent, std::string_view name, Inode inode);
  uint32_t AddStoreDirectory(uint32_t parent, std::string_view name);
  void ListObjects(uint8_t fanout, Listing& listing) const;

  const Tree* tree_;
  std::vector<Inode> inodes_;
  std::vector<uint32_t> directory_inode_;  // by index into Tree::directories
  std::vector<uint32_t> file_inode_;       // by index into Tree::files
  std::vector<Added> added_;
  std::vector<Object> objects_;  // sorted by checksum and extension
  uint32_t boot_ = kNone;
  uint32_t ostree_ = kNone;
};

}  // namespace hostos::erofs

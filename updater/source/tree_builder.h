// Collects what a walk of a release's tree finds, in a commit or in a directory, in the one order
// that both keep (scan.h).
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <unordered_map>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/base/tree.h"

namespace hostos {

class TreeBuilder {
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

  // A dirtree or dirmeta for the embedded object store.
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
  static constexpr int kMaxDepth = 64;
  static constexpr uint64_t kMaxEntries = 1'000'000;

  Tree tree_;
  std::unordered_map<Digest, uint32_t> files_;
  std::set<Digest> objects_;
  uint64_t entries_ = 0;
};

// /boot may hold the UKI, a regular file, and nothing else.
Result<> CheckUki(const std::string& name, const FileObject& file);

}  // namespace hostos

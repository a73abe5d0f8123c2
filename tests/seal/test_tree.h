// A release's tree made by hand, with its content in memory: what the sealer reads in tests.
// Checksums are unique but not OSTree's.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>

#include "updater/base/tree.h"

namespace hostos {

class TestTree : public ContentReader {
 public:
  TestTree();

  // Directories are named by what these return; 0 is the root.
  uint32_t AddDirectory(uint32_t parent, const std::string& name, Metadata metadata = {});
  // Return the file's index, for AddPath.
  uint32_t AddFile(uint32_t parent, const std::string& name, std::string content,
                   Metadata metadata = {});
  uint32_t AddLink(uint32_t parent, const std::string& name, const std::string& target,
                   Metadata metadata = {});
  void AddPath(uint32_t parent, const std::string& name, uint32_t file);
  void AddMetadataObject(std::string bytes, bool is_dirtree);

  // The content a file has, whatever size the tree says.
  void SetContent(uint32_t file, std::string content);

  Result<UniqueFd> Open(const FileObject& file) override;

  Tree tree;
  uint32_t opened = 0;  // files so far

 private:
  uint32_t Add(uint32_t parent, const std::string& name, FileObject file);
  void AddEntry(uint32_t parent, TreeEntry entry);

  std::map<Digest, std::string> content_;
};

// A tree with one of everything that a release may hold.
TestTree VariedTree();

// The same tree with its vectors in another order.
Tree Reordered(const Tree& tree);

}  // namespace hostos

// A node made of files: slots, partition table, ESP, firmware and state. The program that updates
// it, update_on_files, is the engine with everything real below it but the machine.
#pragma once

#include "tests/bootctl/disk_machine.h"

namespace hostos {

// Releases of one archive repository: what a node runs, and the newest of the channel "stable".
struct Releases {
  std::string repo;
  std::string keys;    // folder of the public keys
  std::string parent;  // repository with the objects of `from`, as the running root has
  Digest from, to;     // commits
  SlotSize slot;
};

class FileNode {
 public:
  explicit FileNode(const Releases& releases);

  DiskMachine& machine() { return *machine_; }
  // A file of the node's own.
  std::string operator/(const std::string& name) const { return *machine_ / name; }
  // The command line of an update from a web server; see update_on_files.cc for the rest of it.
  std::vector<std::string> UpdateFrom(const std::string& url) const;

 private:
  const Releases releases_;
  std::unique_ptr<DiskMachine> machine_;
};

}  // namespace hostos

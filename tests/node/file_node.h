// A node made of files: slots, partition table, ESP, firmware and state. Also the programs that
// work on it: the engine and hostctl, with everything real below them except the machine.
#pragma once

#include "tests/bootctl/disk_machine.h"

namespace hostos {

// Releases of one archive repository: the one a node runs, and the newest of the channel "stable".
struct Releases {
  std::string repo;
  std::string keys;    // folder with the public keys
  std::string parent;  // repository with the objects of `from`, like a running root's
  Digest from, to;     // commits
  SlotSize slot;
  std::string held = {};  // an image that the other slot holds; empty: none
};

// A release that nodes run, and find in the repository; its objects go to a repository beside it.
Releases Running(const std::string& repo, const std::string& keys, const Digest& commit);

class FileNode {
 public:
  // A node that gets its releases from the web server at `url`.
  FileNode(const Releases& releases, const std::string& url);
  // A second node in the same state.
  FileNode(const FileNode& other) : machine_(std::make_unique<DiskMachine>(*other.machine_)) {}

  const std::string& directory() const { return machine_->directory(); }
  std::string operator/(const std::string& name) const { return *machine_ / name; }
  DiskMachine& machine() const { return *machine_; }

  // Powers on or reboots. Returns the slot that then runs.
  Result<Slot> Boot() const;
  // Boots the rescue system, whatever the entries say.
  void BootRescue() const;

  // Command lines of the two programs; see update_on_files.cc and hostctl_on_files.cc.
  std::vector<std::string> Update() const;
  std::vector<std::string> Hostctl(const std::vector<std::string>& words) const;

 private:
  // Removes what does not survive a reboot.
  void Restart() const;

  std::unique_ptr<DiskMachine> machine_;
};

}  // namespace hostos

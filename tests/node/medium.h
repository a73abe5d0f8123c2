// What a power cut leaves of file systems. Sure to remain are a file's content and a directory's
// names as of their last sync. What came later may be there or not.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "updater/base/unique_fd.h"

namespace hostos {

struct Cut {
  bool names_lost = false;  // every unsynced creation, change and removal of a name
  enum Contents { kKept, kLost, kTorn } contents = kKept;  // torn: half of what was not synced
};

class Medium {
 public:
  // Treats everything in these directories of `root` as synced now.
  Medium(const std::string& root, const std::vector<std::string>& volumes);

  // Records a sync of a file or a directory, with its path.
  void Sync(int fd, const std::string& path);
  // Records a sync of the whole volume that `path` is on.
  void SyncVolume(const std::string& path);
  // Makes the directories what the cut leaves. Nobody may be using them.
  void Lose(const Cut& cut);

 private:
  // A file or a directory. Held open, so that its inode number is not reused.
  struct Node {
    UniqueFd fd;
    std::optional<std::string> content;                  // of a file, when last synced
    std::map<std::string, std::shared_ptr<Node>> names;  // of a directory, when last synced
  };

  const std::string* VolumeOf(const std::string& path) const;
  std::shared_ptr<Node> Find(UniqueFd fd);
  void Sync(Node& node);
  void SyncTree(const std::string& directory);
  void LoseIn(const Node& directory, const std::string& path, const Cut& cut);
  static void LoseNames(const Node& directory, const std::string& path);

  std::vector<std::string> volumes_;
  std::map<ino_t, std::shared_ptr<Node>> nodes_;
};

}  // namespace hostos

// What a power cut leaves of file systems: of a file, for certain, what was in it when it was last
// synced; of a directory, the names that it had then. What came after may be there or not.
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
  bool names_lost = false;  // every name that was made, changed or removed and not synced
  enum Contents { kKept, kLost, kTorn } contents = kKept;  // torn: half of what was not synced
};

class Medium {
 public:
  // All that these directories of `root` hold now is on the medium.
  Medium(const std::string& root, const std::vector<std::string>& volumes);

  // A file or a directory, with its path.
  void Sync(int fd, const std::string& path);
  // The volume that it is on.
  void SyncVolume(const std::string& path);
  // Makes the directories what the cut leaves. Nobody may be using them.
  void Lose(const Cut& cut);

 private:
  // A file or a directory. Held open, so that nothing else gets its number.
  struct Node {
    UniqueFd fd;
    std::optional<std::string> content;                  // of a file, when it was synced
    std::map<std::string, std::shared_ptr<Node>> names;  // of a directory, when it was synced
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

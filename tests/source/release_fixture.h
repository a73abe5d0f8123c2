// What the source's tests share: root trees with everything a tree can hold, releases published
// from them, and servers' objects that no honest publisher would make.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/no_progress.h"
#include "tests/temp_dir.h"
#include "tests/text_file.h"
#include "updater/source/commit.h"
#include "updater/source/repo.h"
#include "updater/source/sign.h"

namespace hostos {

struct CommandResult {
  int status = -1;
  std::string output;  // stdout and stderr
};
CommandResult Shell(const std::string& command);

// A root of a few files of every kind: hard links, equal files, links, setuid, capabilities and
// other xattrs, empty and sparse files, names of 255 bytes, names whose order is easy to get wrong.
void MakeOddTree(const std::string& path);
// `count` files of incompressible bytes, 30 kB on average, in directories below usr/lib/`name`.
void AddFiles(const std::string& tree, const std::string& name, int count, unsigned seed);

// A published release, and a publisher who signs with one key.
struct Publisher {
  Publisher();

  // Commits `tree` with a UKI of its own, signed with `keys` (by default the publisher's).
  Digest Publish(const std::string& tree, const std::string& version);
  Digest Publish(const std::string& tree, const Release& release,
                 std::span<const SecretKey> signers);
  // The release as Publish() would describe it; writes the UKI.
  Release Describe(const std::string& version);

  std::string ObjectPath(const Digest& checksum, const std::string& extension) const;

  TempDir directory;
  std::string path;  // of the archive repository
  Repo repo;
  SecretKey key;
  std::string keys;  // a directory with key's public half
};

// Puts an object's raw bytes into a repository, as a server may serve anything.
Digest PutObject(const std::string& repository, std::string_view bytes,
                 const std::string& extension);

}  // namespace hostos

// What the source's tests share: root trees with everything a tree can hold, releases published
// from them, and servers' objects that no honest publisher would make.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "images/publish/secret_key.h"
#include "images/tuf_repository.h"
#include "tests/no_progress.h"
#include "tests/shell.h"
#include "tests/temp_dir.h"
#include "tests/text_file.h"
#include "updater/release/commit.h"
#include "updater/release/signature.h"
#include "updater/source/repo.h"
#include "updater/source/scan.h"

namespace hostos {

// A root of a few files of every kind: hard links, equal files, links, setuid, capabilities and
// other xattrs, empty and sparse files, names of 255 bytes, names whose order is easy to get wrong.
void MakeOddTree(const std::string& path);
// `count` files of incompressible bytes, 30 kB on average, in directories below usr/lib/`name`.
void AddFiles(const std::string& tree, const std::string& name, int count, unsigned seed);

// An empty repository of mode bare, as a running root has one.
Repo InitBare(const std::string& path);

// Detached metadata with what the keys sign.
std::string Signed(std::span<const SecretKey> keys, std::string_view data);

// When everything of these tests happens.
inline constexpr uint64_t kNow = 1'800'000'000;

// A published release, and its publisher.
struct Publisher {
  Publisher();

  // Seals and commits `tree` with a UKI of its own, signed with `key`, and makes it the newest of
  // its channel; or commits it as what the release says, signed with others.
  Digest Publish(const std::string& tree, const std::string& version, const std::string& uki = "");
  Digest Publish(const std::string& tree, const Release& release,
                 std::span<const SecretKey> signers);
  // Makes it the newest of its channel, whatever is there.
  ReleaseTarget Announce(ReleaseTarget release);
  // A release that is what it says but for its image; writes the UKI, by default a short one.
  Release Describe(const std::string& version, const std::string& uki = "");
  // Makes the delta pack between two published releases, and names it in the target of the second.
  void Pack(const std::string& from, const std::string& to);
  // Names the packs that are there, with their sizes.
  void AnnouncePacks(const std::string& version);
  Commit CommitOf(const std::string& version) const;

  std::string ObjectPath(const Digest& checksum, const std::string& extension) const;

  TempDir directory;
  std::string path;  // of the archive repository
  Repo repo;
  std::string root;            // the TUF root that nodes begin with
  std::vector<SecretKey> key;  // one of each algorithm
  std::string keys;            // a directory with their public halves
  TufRepository metadata;
};

// A file object of an archive: 64 MB of zeros in 65 kB.
std::string Bomb();

// Puts an object's raw bytes into a repository, as a server may serve anything.
Digest PutObject(const std::string& repository, std::string_view bytes,
                 const std::string& extension);

// Of a commit that is in the repository.
inline Result<Scan> ScanCommit(const Repo& repo, const Digest& commit) {
  return ScanCommit(repo, TRY(repo.ReadCommit(commit)));
}

}  // namespace hostos

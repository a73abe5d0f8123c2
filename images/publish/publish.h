// Publishes a release: a scanned tree becomes objects, a commit, signatures and refs in one
// transaction of an archive repository.
#pragma once

#include <span>
#include <string>

#include "images/publish/secret_key.h"
#include "updater/base/release.h"
#include "updater/base/result.h"
#include "updater/release/commit.h"
#include "updater/source/repo.h"
#include "updater/source/scan.h"

namespace hostos {

// What CommitTree publishes.
struct CommitInput {
  std::string uki;  // becomes /boot/hostos.efi, owner 0:0, mode 0644
  Release release;  // everything but `commit`; the timestamp is the commit's
};

// Commits a directory that was scanned, with its empty /boot (owners, modes and xattrs as they are
// on disk), signs the commit with every key, and sets ChannelRef and ReleaseRef to it, in one
// transaction. The same input gives the same checksum. It is an error if the content differs from
// what the scan saw. kRefused when the version is already published as another commit.
Result<Digest> CommitTree(Repo& repo, const Scan& scan, const CommitInput& input,
                          std::span<const SecretKey> keys);
// Commits content that is already in the repository again, with what `commit` says, such as another
// channel: signs it and sets the ref of that channel. The version's own ref stays.
Result<Digest> CommitAgain(Repo& repo, const Commit& commit, std::span<const SecretKey> keys);

}  // namespace hostos

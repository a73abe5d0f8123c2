// Makes a signed release in an archive repository from a root file system: seals it, binds a kernel
// image to the root hash, commits both, signs. Nothing in the repository points to the release
// before it is complete, signed and on stable storage.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "images/publish/passphrase.h"
#include "updater/base/progress.h"
#include "updater/base/release.h"
#include "updater/base/result.h"

namespace hostos {

struct CommitOptions {
  std::string tree;  // the root file system, with an empty /boot
  std::string initrd;
  std::string repo;  // created if it is missing
  std::string version;
  std::string channel;
  std::string architecture;
  std::vector<std::string> keys;  // as SecretKey::Load takes them
  AskPassphrase passphrase = {};
  uint64_t timestamp = 0;      // of the commit, seconds since the epoch
  std::string stub;            // empty: the build machine's
  std::string cmdline_append;  // for the kernel
  // A version in `repo` that nodes come from: the image is laid out after its image, in seal format
  // 2. Empty: format 1, which every node knows.
  std::string after;
  // What it was made of, as `rootfs/build release` writes it. Empty: the release gets no provenance.
  std::string inputs;
  // Where to write copies of the results; empty: no copy.
  std::string image_out, verity_out, uki_out;
};

// The time of a release must not be before 1980, the first time that all file systems used here can
// express, nor more than a day after `now`, which allows for a wrong clock. kUsage otherwise.
Result<> CheckReleaseTime(uint64_t timestamp, uint64_t now);

Result<Release> CommitRelease(const CommitOptions& options, Progress& progress);

}  // namespace hostos

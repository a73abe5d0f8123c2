// From a root file system to a signed release in an archive repository: seal it, bind a kernel
// image to the root hash, commit both, sign. Nothing in the repository points at the release before
// it is complete, signed and on stable storage.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "updater/base/progress.h"
#include "updater/base/release.h"
#include "updater/base/result.h"
#include "updater/source/passphrase.h"

namespace hostos {

struct CommitOptions {
  std::string tree;  // the root file system, with an empty /boot
  std::string initrd;
  std::string repo;  // made when it is not there
  std::string version;
  std::string channel;
  std::string architecture;
  std::vector<std::string> keys;  // as SecretKey::Load takes them
  AskPassphrase passphrase = {};
  uint64_t timestamp = 0;      // of the commit, seconds since the epoch
  std::string stub;            // empty: the build machine's
  std::string cmdline_append;  // for the kernel
  // Copies of what was made; empty: none.
  std::string image_out, verity_out, uki_out;
};

// A release is made on its day, give or take a clock: not before 1980, which is the first time that
// every file system of ours can say, nor more than a day after `now`. kUsage.
Result<> CheckReleaseTime(uint64_t timestamp, uint64_t now);

Result<Release> CommitRelease(const CommitOptions& options, Progress& progress);

}  // namespace hostos

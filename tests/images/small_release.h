// A root file system of a few files, with a PE program standing in for the kernel, and what it
// takes to make a signed release of it: enough for every rule of the release tool.
#pragma once

#include <string>
#include <vector>

#include "images/commit_release.h"
#include "images/signed_release.h"
#include "tests/no_progress.h"
#include "tests/temp_dir.h"
#include "tests/text_file.h"

namespace hostos {

inline constexpr uint64_t kReleaseTime = 1'790'000'000;

// Everything lives in one directory: root/, initrd, repo/, keys/ci.pub, ci.pem.
class SmallRelease {
 public:
  explicit SmallRelease(const std::string& version = "1.0.0");

  std::string operator/(const std::string& name) const { return directory_ / name; }
  // To make a release of root/ in channel stable.
  CommitOptions Options() const;
  Result<Release> Commit() const { return Commit(Options()); }
  Result<Release> Commit(const CommitOptions& options) const;
  // Makes a rescue of root/: rescue.efi, or the one that root/ brings.
  std::string MakeRescue() const;
  std::string BringRescue() const;
  // By its version.
  ReleaseQuery Query() const;

  // Adds a key pair NAME.pem and keys/NAME.pub; returns the secret's path.
  std::string AddKey(const std::string& name) const;

 private:
  std::string MakeRescue(const std::string& output) const;

  TempDir directory_;
  std::string version_;
};

// Whether two files have the same bytes.
bool SameFiles(const std::string& a, const std::string& b);
// Adds one to the byte at `offset`; one from the end of the file when negative.
void ChangeByte(const std::string& path, long offset);
// The files below a directory, recursively, whose names end so, sorted.
std::vector<std::string> FilesEndingIn(const std::string& directory, const std::string& suffix);

}  // namespace hostos

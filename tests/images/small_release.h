// A root file system of a few files, with a PE program standing in for the kernel, and what it
// takes to make a signed release of it: enough for every rule of the release tool.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "images/commit_release.h"
#include "images/signed_release.h"
#include "tests/no_progress.h"
#include "tests/temp_dir.h"
#include "tests/text_file.h"

namespace hostos {

inline constexpr uint64_t kReleaseTime = 1'790'000'000;

// Everything lives in one directory, its own or a given one: root/, initrd, repo/, keys/ci.pub,
// ci.pem.
class SmallRelease {
 public:
  explicit SmallRelease(const std::string& version = "1.0.0", const std::string& directory = "");

  std::string operator/(const std::string& name) const { return directory_ / name; }
  // What root/ is from now on.
  void SetVersion(const std::string& version);
  // Of the package alpha in root/, which has 1:1.0.
  void SetVersionOfAlpha(const std::string& version) const;
  // Makes changelogs/, in which that of alpha says that its version fixed two CVEs.
  void AddChangelogs() const;
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

  std::optional<TempDir> own_;
  const std::filesystem::path directory_;
  std::string version_;
};

}  // namespace hostos

// The rollback floor: the index of the newest release this machine has committed to. Nothing older
// is installed again, whoever signs it. It rises only after a commit, so that the release in the
// other slot remains one to fall back to. An interface, so that a counter in a TPM can join.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

class RollbackFloor {
 public:
  virtual ~RollbackFloor() = default;
  virtual Result<uint64_t> Read() const = 0;  // 0: none yet; an error: not known
  // Durable when it returns. Never lowers the floor.
  virtual Result<> Raise(uint64_t index) = 0;
  // Replaces a floor that no release can reach, which would refuse every release.
  virtual Result<> Replace(uint64_t index) = 0;
};

// Two small files, "<path>.0" and "<path>.1", each with the index and its SHA-256. The higher index
// of the valid files counts, so losing one file, or a power cut between the two, loses nothing.
// Whoever can remove both can also write the rest of the disk; noticing that takes a TPM. A file
// that exists but cannot be read from the disk is not a lost file: unless the other one is valid,
// the floor is not 0 but unknown.
class FileFloor : public RollbackFloor {
 public:
  explicit FileFloor(std::string path) : path_(std::move(path)) {}
  Result<uint64_t> Read() const override;
  // Also rewrites a file that the disk cannot read, if the caller or the other file knows an index.
  Result<> Raise(uint64_t index) override;
  Result<> Replace(uint64_t index) override;
  // For the rescue, which has nobody to ask: removes the files that the disk cannot read, and
  // returns why for each.
  std::vector<std::string> DropUnreadable();

 private:
  std::string path_;
};

}  // namespace hostos

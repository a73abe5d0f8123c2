// The index of the newest release this machine has committed to: nothing before it is installed
// again, whoever signs it. It rises after a commit only, so that the release in the other slot
// stays one to fall back to. An interface, so that a counter in a TPM can join.
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
  // Durable when it returns. Never lowers it.
  virtual Result<> Raise(uint64_t index) = 0;
  // In place of one that no release can have, and that would refuse all of them.
  virtual Result<> Replace(uint64_t index) = 0;
};

// Two small files, "<path>.0" and "<path>.1": the index and its SHA-256. The higher of those that
// hold counts; losing one of them, or a power cut between the two, loses nothing. Who can remove
// both can write what else is on the disk too, which takes a TPM to notice. A file that is there
// and that the disk does not give is not lost: where no other one holds, the floor is not 0 but
// unknown.
class FileFloor : public RollbackFloor {
 public:
  explicit FileFloor(std::string path) : path_(std::move(path)) {}
  Result<uint64_t> Read() const override;
  // Writes again what the disk does not give, where the caller, or the other file, knows an index.
  Result<> Raise(uint64_t index) override;
  Result<> Replace(uint64_t index) override;
  // For a rescue, which has nobody to ask: removes what the disk does not give. Each with why.
  std::vector<std::string> DropUnreadable();

 private:
  std::string path_;
};

}  // namespace hostos

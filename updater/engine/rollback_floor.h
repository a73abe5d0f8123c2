// The index of the newest release this machine has committed to: nothing before it is installed
// again, whoever signs it. It rises after a commit only, so that the release in the other slot
// stays one to fall back to. An interface, so that a counter in a TPM can join.
#pragma once

#include <cstdint>
#include <string>

#include "updater/base/result.h"

namespace hostos {

class RollbackFloor {
 public:
  virtual ~RollbackFloor() = default;
  virtual Result<uint64_t> Read() const = 0;  // 0: none yet
  // Durable when it returns. Never lowers it.
  virtual Result<> Raise(uint64_t index) = 0;
  // In place of one that no release can have, and that would refuse all of them.
  virtual Result<> Replace(uint64_t index) = 0;
};

// Two small files, "<path>.0" and "<path>.1": the index and its SHA-256. The higher of those that
// hold counts; losing one of them, or a power cut between the two, loses nothing. Who can remove
// both can write what else is on the disk too, which takes a TPM to notice.
class FileFloor : public RollbackFloor {
 public:
  explicit FileFloor(std::string path) : path_(std::move(path)) {}
  Result<uint64_t> Read() const override;
  Result<> Raise(uint64_t index) override;
  Result<> Replace(uint64_t index) override;

 private:
  std::string path_;
};

}  // namespace hostos

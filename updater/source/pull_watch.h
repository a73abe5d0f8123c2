// Bounds and reports a pull while libostree runs it. libostree limits neither what content objects
// take to transfer nor what they unpack to, and it counts an object only once it is whole. But it
// writes everything to files, and every byte twice: as it came, and unpacked. So no file may grow
// beyond the largest signed object, and all writes together not beyond what the signed sizes allow.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "updater/base/clock.h"
#include "updater/base/progress.h"
#include "updater/base/result.h"
#include "updater/release/commit.h"
#include "updater/source/source.h"

namespace hostos {

// While this lives, no file of this process grows beyond the limit (RLIMIT_FSIZE): write(2) fails
// with EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(uint64_t bytes);
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit();
  void Set(uint64_t bytes);

 private:
  struct rlimit before_{};
  void (*handler_)(int);
};

struct PullLimits {
  std::string url;         // for messages
  std::string repository;  // whose file system it fills
  FetchPlan plan;
  uint64_t largest_object = 0;
  uint64_t attempts = 1;    // how often an object may be fetched
  uint64_t free_bytes = 0;  // when the pull begins
  Seconds time{0};          // for the whole pull
};

class PullWatch {
 public:
  PullWatch(PullLimits limits, Progress& progress);

  // Reports the progress. False when the pull has to end; from then on nothing can be written.
  bool Check();
  const std::optional<Error>& verdict() const { return verdict_; }

 private:
  void Stop(Code code, std::string message);

  PullLimits limits_;
  Progress& progress_;
  FileSizeLimit file_size_;
  uint64_t written_before_;
  Milliseconds begin_ = SystemClock().Monotonic();
  std::optional<Error> verdict_;
};

uint64_t LargestObject(std::span<const ObjectSize> sizes);

}  // namespace hostos

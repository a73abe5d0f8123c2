#include "updater/source/pull_watch.h"

#include <signal.h>

#include <algorithm>
#include <cstdlib>

#include "updater/base/space.h"
#include "updater/base/unique_fd.h"
#include "updater/release/objects.h"

namespace hostos {
namespace {

constexpr uint64_t kSlack = 4 << 20;  // for what is written beside the objects

// The bytes this process has handed to write(2) so far (proc_pid_io(5)).
uint64_t WrittenBytes() {
  constexpr std::string_view kKey = "wchar: ";
  std::string text = ReadFile("/proc/self/io").value_or("");
  size_t key = text.find(kKey);
  return key == text.npos ? 0 : std::strtoull(text.c_str() + key + kKey.size(), nullptr, 10);
}

}  // namespace

FileSizeLimit::FileSizeLimit(uint64_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
  (void)::getrlimit(RLIMIT_FSIZE, &before_);  // cannot fail
  Set(bytes);
}

FileSizeLimit::~FileSizeLimit() {
  (void)::setrlimit(RLIMIT_FSIZE, &before_);  // as it was: cannot fail
  (void)::signal(SIGXFSZ, handler_);
}

void FileSizeLimit::Set(uint64_t bytes) {
  struct rlimit limit = before_;
  limit.rlim_cur = std::min<rlim_t>(bytes, before_.rlim_cur);
  (void)::setrlimit(RLIMIT_FSIZE, &limit);  // a soft limit within the hard one: cannot fail
}

PullWatch::PullWatch(PullLimits limits, Progress& progress)
    : limits_(std::move(limits)),
      progress_(progress),
      file_size_(limits_.largest_object),
      written_before_(WrittenBytes()) {}

bool PullWatch::Check() {
  const FetchPlan& plan = limits_.plan;
  uint64_t written = WrittenBytes() - written_before_;
  uint64_t expected = std::max<uint64_t>(plan.download_bytes + plan.unpacked_bytes, 1);
  double part = std::min(1.0, static_cast<double>(written) / static_cast<double>(expected));
  progress_.Bytes(static_cast<uint64_t>(part * static_cast<double>(plan.download_bytes)),
                  plan.download_bytes);
  if (progress_.Cancelled()) Stop(Code::kFailed, limits_.url + ": interrupted");
  if (written > limits_.attempts * expected + kSlack) {
    Stop(Code::kNotTrusted,
         std::format("{}: expected at most the signed {} bytes for this release, found more",
                     limits_.url, plan.download_bytes));
  }
  if (const Milliseconds took = SystemClock().Monotonic() - begin_; took > limits_.time) {
    Stop(Code::kNetwork,
         std::format("{}: expected {} bytes within {} s, and they are still coming; the next run "
                     "goes on",
                     limits_.url, plan.download_bytes, limits_.time.count()));
  }
  // Others may write to the same file system: they may use half of what should be left.
  uint64_t floor = (limits_.free_bytes - std::min(limits_.free_bytes, plan.unpacked_bytes)) / 2;
  auto free = FreeSpaceAt(limits_.repository);
  if (free && free->bytes < floor) {
    Stop(Code::kNoSpace,
         std::format("{}: expected the {} bytes of this release to leave more than {} bytes free, "
                     "found {}",
                     limits_.repository, plan.unpacked_bytes, floor, free->bytes));
  }
  return !verdict_;
}

void PullWatch::Stop(Code code, std::string message) {
  if (!verdict_) verdict_ = Error{code, std::move(message)};
  // libostree does not cancel a running transfer, but ends one that it cannot write.
  file_size_.Set(0);
}

uint64_t LargestObject(std::span<const ObjectSize> sizes) {
  uint64_t largest = kMaxMetadataBytes;  // other files stay far below this
  for (const ObjectSize& size : sizes) largest = std::max({largest, size.archived, size.unpacked});
  return largest;
}

}  // namespace hostos

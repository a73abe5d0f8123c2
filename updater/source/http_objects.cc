#include "updater/source/http_objects.h"

#include <unistd.h>

#include <algorithm>

#include "updater/base/mask.h"

namespace hostos {
namespace {

Error NotFoundIsNetwork(Error error) {
  if (error.code == Code::kNotFound) error.code = Code::kNetwork;
  return error;
}

}  // namespace

HttpObjects::HttpObjects(const SourceOptions& options, const FetchPlan& plan, Progress& progress)
    : url_(options.url + "/"),
      staging_(options.staging),
      time_(options.http.PullTime(plan.download_bytes)),
      end_(SystemClock().Monotonic() + time_),
      http_(options.http),
      all_(plan.download_bytes),
      progress_(progress) {}

Result<std::string> HttpObjects::Fetch(const std::string& name, size_t cap) {
  TRY(CheckTime());
  std::string bytes = TRY(http_.Get(url_ + name, cap).transform_error(NotFoundIsNetwork));
  before_ += bytes.size();
  return bytes;
}

Result<ObjectFiles::File> HttpObjects::OpenObject(const ObjectSize& object) {
  TRY(CheckTime());
  const std::string url = url_ + ObjectPath(object);
  File file{TRY(hostos::Open(staging_ + "/tmp", O_TMPFILE | O_RDWR, 0600)), object.archived};
  const Result<uint64_t> received = http_.Download(url, file.fd.get(), object.archived, *this);
  if (!received) {
    TRY(CheckTime());  // else it was given up for that
    const Result<uint64_t> size = http_.Size(url);
    if (size && *size != object.archived)
      return Fail(Code::kNotTrusted, "{}: expected the signed {} bytes, found {}", Masked(url),
                  object.archived, *size);
    return std::unexpected(NotFoundIsNetwork(received.error()));
  }
  before_ += object.archived;
  if (::lseek(file.fd.get(), 0, SEEK_SET) < 0) return FailErrno(staging_);
  return file;
}

void HttpObjects::Bytes(uint64_t done, uint64_t) {
  progress_.Bytes(std::min(before_ + done, all_), all_);
}

bool HttpObjects::Cancelled() {
  return progress_.Cancelled() || !CheckTime();
}

Result<> HttpObjects::CheckTime() const {
  if (SystemClock().Monotonic() < end_) return {};
  return Fail(Code::kNetwork,
              "{}: expected {} bytes within {} s, and they are still coming; the next run goes on",
              Masked(url_), all_, time_.count());
}

}  // namespace hostos
